"""The suites of expectations: one versioned file a kind of source, and the parts that they share.

What all kinds have in common stands once, in a part (``suites/day.json``, ``series.json``). A
kind's file names its parts with their SHA-256, so that its own SHA-256 stands for all of them,
and a part cannot change under a suite's version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upkeep.errors import CorruptRecord
from upkeep.records import sha256_hex

SUITES = Path(__file__).parent / "suites"
FRAMES = ("day", "hours", "measures")

Json = dict[str, Any]


@dataclass(frozen=True)
class Suite:
    """Great Expectations' expectations by frame; ``name`` is ``<kind>/<version>``."""

    name: str
    sha256: str
    expectations: Mapping[str, Sequence[Json]]

    def checks(self) -> tuple[str, ...]:
        """The names of the checks, in the suite's order; a check has one expectation or more."""
        every = (e for frame in FRAMES for e in self.expectations[frame])
        return tuple(dict.fromkeys(e["meta"]["check"] for e in every))


def suite_of(kind: str) -> Suite:
    """The suite for days of a kind of source.

    Raises:
        CorruptRecord: a part is not the one that the suite was made with.

    """
    raw = (SUITES / f"{kind}.json").read_bytes()
    own = json.loads(raw)
    pieces = [*(_part(kind, named) for named in own["parts"]), own]
    return Suite(
        name=own["suite"],
        sha256=sha256_hex(raw),
        expectations={f: [e for piece in pieces for e in piece.get(f, ())] for f in FRAMES},
    )


def _part(kind: str, named: Mapping[str, str]) -> Json:
    raw = (SUITES / named["file"]).read_bytes()
    found = sha256_hex(raw)
    if found != named["sha256"]:
        raise CorruptRecord(
            f"suites/{named['file']} has the SHA-256 {found}, suites/{kind}.json names "
            f"{named['sha256']}; install Upkeep anew, or give the suite a new version"
        )
    part: Json = json.loads(raw)
    return part
