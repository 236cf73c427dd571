"""The envelope without parsing: the same guarantees at the price of one hash."""

from __future__ import annotations

from datetime import date

import pytest

from upkeep.errors import CorruptRecord
from upkeep.records import Override, canonical_json, sha256_hex
from upkeep.sealed import parsed, schema_of, seal, sealed, sealed_digest, unseal

NOTE = 'a ","schema":"Override/1","sha256":"' + "0" * 64 + '"} inside'
MADE = Override(model="docs", day=date(2026, 3, 5), action="keep", note=NOTE, by="ada")


def test_the_body_is_the_records_canonical_bytes() -> None:
    """Also where the record's own text looks like an envelope's tail."""
    found = sealed("k", seal(MADE), schema_of(Override))
    assert found == (MADE.canonical_bytes(), MADE.digest())
    assert parsed("k", found.body, Override) == unseal("k", seal(MADE), Override) == MADE
    assert sealed_digest("k", seal(MADE)) == MADE.digest()


def test_another_records_envelope_is_refused_by_name() -> None:
    """The message says what it holds and what was expected."""
    with pytest.raises(CorruptRecord, match="k: holds 'Override/1', expected 'Decision/1'"):
        sealed("k", seal(MADE), "Decision/1")


@pytest.mark.parametrize(
    "data",
    [
        seal(MADE).replace(b'"keep"', b'"hold"'),
        seal(MADE).replace(b"Override/1", b"Override/2", 1),
        seal(MADE)[:-3] + b'0"}',
        seal(MADE).replace(b'{"record"', b'{ "record"', 1),
        seal(MADE).replace(b',"schema"', b', "schema"'),
    ],
)
def test_a_digest_is_given_of_sound_envelopes_only(data: bytes) -> None:
    """A chain that links by hashes never links to what was changed."""
    with pytest.raises(CorruptRecord, match="k:"):
        sealed_digest("k", data)


def test_bytes_with_a_hash_of_their_own_that_are_no_record_are_corrupt() -> None:
    """The hash fits, the form does not: not JSON, absurd nesting, not a number."""
    for body in (b"{", b"[" * 100_000, b'{"by":NaN}', b"\xff", b"null"):
        tail = canonical_json({"schema": "Override/1", "sha256": sha256_hex(body)})
        with pytest.raises(CorruptRecord, match="k: not a Override"):
            unseal("k", b'{"record":' + body + b"," + tail[1:], Override)
