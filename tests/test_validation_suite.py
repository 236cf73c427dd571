"""One versioned suite a kind of source; what they share stands once and cannot drift apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fakes.believable_days import KINDS, SERIES, good_day, spec_of

from upkeep import validation_suite
from upkeep.errors import CorruptRecord
from upkeep.records import sha256_hex
from upkeep.sources import SOURCES
from upkeep.validation_day import Day
from upkeep.validation_suite import FRAMES, SUITES, suite_of
from upkeep.validation_words import Words

SHARED = (
    *("source", "numbers", "coverage", "bad_share", "requests", "series", "error_rate", "hours"),
    *("inconsistent", "agreement", "fresh", "gaps", "collected", "error_unit", "odd"),
)
MEASURED = ("quantiles", "utilisation", "sums", "partial", "unit_suspect", "unit")


def test_every_kind_of_source_has_its_suite() -> None:
    """The file is named for the kind, and its suite for the kind and a version."""
    assert set(KINDS) == set(SOURCES)
    for kind in SOURCES:
        name, _, version = suite_of(kind).name.partition("/")
        assert name == kind
        assert version.isdigit()
    parts = {"day.json", "series.json"}
    assert {p.name for p in SUITES.iterdir()} == {f"{kind}.json" for kind in SOURCES} | parts


def test_what_each_kind_checks() -> None:
    """All share the day's checks; logs have slices, series may be frozen."""
    assert suite_of("request_log").checks() == (*SHARED, "slices", *MEASURED)
    for kind in SERIES:
        assert suite_of(kind).checks() == (*SHARED, *MEASURED, "frozen")


@pytest.mark.parametrize("kind", KINDS)
def test_a_suite_names_its_parts_as_they_are(kind: str) -> None:
    """Whoever changes a part gives each suite that has it the hash below, and a new version."""
    for part in json.loads((SUITES / f"{kind}.json").read_bytes())["parts"]:
        assert part["sha256"] == sha256_hex((SUITES / part["file"]).read_bytes()), part["file"]
    assert suite_of(kind).sha256 == sha256_hex((SUITES / f"{kind}.json").read_bytes())


def test_a_part_that_changed_under_a_suite_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded SHA-256 stands for everything that is run."""
    shutil.copytree(SUITES, tmp_path / "suites")
    monkeypatch.setattr(validation_suite, "SUITES", tmp_path / "suites")
    part = tmp_path / "suites" / "day.json"
    part.write_text(part.read_text().replace("critical", "info"))
    with pytest.raises(CorruptRecord, match=r"suites/day\.json has the SHA-256 .* new version"):
        suite_of("prometheus")


@pytest.mark.parametrize("kind", KINDS)
def test_each_check_has_one_severity_one_rule_and_words(kind: str) -> None:
    """A check of several expectations says one thing; its columns are in its frame."""
    suite, day = suite_of(kind), Day(spec_of(kind), good_day(kind))
    rows = {frame: set(found[0]) for frame, found in day.frames().items()}
    said: dict[str, set[tuple[str, str]]] = {}
    for frame in FRAMES:
        for expected in suite.expectations[frame]:
            meta, kwargs = expected["meta"], expected["kwargs"]
            said.setdefault(meta["check"], set()).add((expected["severity"], meta["rule"]))
            columns = {v for k, v in kwargs.items() if k.startswith("column") and v}
            assert columns <= rows[frame]
            assert meta["rule"].format(**day.parameters())
    assert all(len(one) == 1 for one in said.values())
    assert all(all(Words(day).of(check)) for check in said)
