"""Old versions are found; a package that is not in the list is never called safe."""

from __future__ import annotations

from datetime import date

import pytest
from fakes.reviewed_model import DAY, Case
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from pydantic import ValidationError

from upkeep.inspections import dependencies
from upkeep.inspections.dependencies import Advisories, advisories, installed, matches, read_lock
from upkeep.records import ReviewFinding


def found(lock: str | None) -> list[ReviewFinding]:
    made = dependencies.review(Case(lock=lock).material())
    assert all(isinstance(each, ReviewFinding) for each in made)
    return [each for each in made if isinstance(each, ReviewFinding)]


def test_an_old_version_is_found_with_its_source_and_the_fixed_one() -> None:
    """Torch 2.5.1 loads checkpoints unsafely: a warning that names the CVE."""
    unsafe = [f for f in found("torch==2.5.1+cpu\n") if f.rule == "unsafe-version"]
    assert {f.evidence["source"] for f in unsafe} == {"CVE-2025-32434", "CVE-2026-24747"}
    assert all(f.severity == "warning" and f.evidence["version"] == "2.5.1+cpu" for f in unsafe)
    assert any(f.action and "2.6.0" in f.action for f in unsafe)


def test_a_slow_version_is_advice() -> None:
    """Nobody is harmed by it."""
    slow = [f for f in found("vllm==0.5.5\n") if f.rule == "slow-version"]
    assert [(f.severity, f.evidence["fixed"]) for f in slow] == [("advice", "0.6.0")]


def test_a_clean_lock_gives_notes_only_and_calls_nothing_safe() -> None:
    """What is not in the list is unknown, and counted."""
    made = found("torch==2.13.0\nsomething-unheard-of==1.0\n")
    assert {f.severity for f in made} == {"note"}
    looked = next(f for f in made if f.rule == "looked-at")
    assert (looked.evidence["in_the_list"], looked.evidence["not_in_the_list"]) == (1.0, 1.0)
    assert "does not say that they are safe" in looked.what
    assert advisories().as_of.isoformat() in looked.what


@pytest.mark.parametrize(
    ("lines", "versions", "unpinned"),
    [
        ("Foo_Bar==1.0 \\\n    --hash=sha256:0a\n", {"foo-bar": "1.0"}, ()),
        ("# a comment\n\nfoo==1.0  # why\n", {"foo": "1.0"}, ()),
        ("foo[extra]==1.0 ; python_version >= '3'\n", {"foo": "1.0"}, ()),
        ("foo==1.0 ; sys_platform == 'nowhere'\n", {}, ()),
        ("--index-url https://example.org\nfoo==1.0\n", {"foo": "1.0"}, ()),
        ("foo>=1.0\nbar\n", {}, ("foo>=1.0", "bar")),
        ("foo==1.*\n", {}, ("foo==1.*",)),
        ("-r other.txt\n-e .\n", {}, ("-r other.txt", "-e .")),
        ("foo===not a version\n", {}, ("foo===not a version",)),
        ("foo==1.0,!=1.1\n", {"foo": "1.0"}, ()),
        ("", {}, ()),
    ],
)
def test_a_lock_is_read_as_pip_reads_it(
    lines: str, versions: dict[str, str], unpinned: tuple[str, ...]
) -> None:
    """A line that names no one version is said, never skipped."""
    read = read_lock(lines)
    assert (dict(read.versions), read.unpinned) == (versions, unpinned)


def test_lines_without_a_version_are_a_finding() -> None:
    """What is installed is then anybody's guess."""
    loose = next(f for f in found("torch>=2\n") if f.rule == "unpinned")
    assert (loose.severity, loose.evidence["unpinned"]) == ("advice", 1.0)


def test_without_a_lock_this_environment_is_looked_at() -> None:
    """And the finding says how to name one; this repository's own lock has no listed version."""
    made = found(None)
    looked = next(f for f in made if f.rule == "looked-at")
    assert "the worker's environment" in looked.what
    assert looked.action is not None
    assert "serving" in looked.action
    assert installed().versions["torch"].startswith("2.")
    assert {f.severity for f in made} == {"note"}


@pytest.mark.parametrize(
    ("version", "fits"),
    [("4.55.0", True), ("5.2.9", True), ("5.3.0rc1", True), ("5.3.0", False), ("5.4.0", False)],
)
def test_ranges_end_where_they_say(version: str, fits: object) -> None:
    """Pre-releases of the fixed version are not fixed."""
    hits = matches(read_lock(f"transformers=={version}"), advisories())
    assert ("CVE-2026-4372" in {entry.source for entry in hits}) is fits


def test_the_list_is_sound() -> None:
    """Sorted, none twice, each fixed version outside its range, each name normalised."""
    entries = advisories().advisories
    keys = [(e.package, e.source, e.affected) for e in entries]
    assert keys == sorted(set(keys))
    for entry in entries:
        assert not SpecifierSet(entry.affected).contains(entry.fixed, prereleases=True), entry
        assert Version(entry.fixed)
        assert entry.kind == "slow" or entry.source.startswith("CVE-")


def test_an_old_list_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a year after the day that it was kept up to."""
    old = advisories().model_copy(update={"as_of": date(2025, 1, 1)})
    monkeypatch.setattr(dependencies, "advisories", lambda: old)
    note = next(f for f in found("") if f.rule == "old-list")
    assert note.evidence["age_days"] == float((DAY - old.as_of).days)


def test_a_broken_list_is_refused() -> None:
    """An entry without a source is no evidence."""
    with pytest.raises(ValidationError, match="source"):
        Advisories.model_validate_json(
            '{"about": "x", "as_of": "2026-01-01", "advisories": [{"package": "a", '
            '"affected": "<1", "kind": "slow", "why": "because it is", "fixed": "1"}]}'
        )
