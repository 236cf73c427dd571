"""Records whose hash is known already, so that nobody computes it twice."""

from __future__ import annotations

from typing import Self

from pydantic import PrivateAttr

from upkeep.records import DayFacts, Diagnosis, Drift, Record, sha256_hex
from upkeep.spec import Policy


class _Hashed(Record):
    _sha256: str = PrivateAttr()

    def digest(self) -> str:
        """The hash that it was read or written under."""
        return self._sha256

    def under(self, sha256: str) -> Self:
        """The same record, known by this hash."""
        self._sha256 = sha256
        return self


class HashedFacts(_Hashed, DayFacts):
    """Facts as they lie in the store."""


class HashedDrift(_Hashed, Drift):
    """Drift whose bytes were written once."""


class HashedDiagnosis(_Hashed, Diagnosis):
    """A diagnosis whose bytes were written once."""


class HashedPolicy(_Hashed, Policy):
    """A policy that many days are decided by."""


def hashed_drift(drift: Drift) -> tuple[HashedDrift, bytes]:
    """The drift under its hash, and its canonical bytes."""
    data = drift.canonical_bytes()
    return HashedDrift(**dict(drift)).under(sha256_hex(data)), data


def hashed_diagnosis(diagnosis: Diagnosis) -> tuple[HashedDiagnosis, bytes]:
    """The diagnosis under its hash, and its canonical bytes."""
    data = diagnosis.canonical_bytes()
    return HashedDiagnosis(**dict(diagnosis)).under(sha256_hex(data)), data


def hashed_policy(policy: Policy) -> HashedPolicy:
    """The policy under its hash."""
    return HashedPolicy.model_construct(**dict(policy)).under(policy.digest())
