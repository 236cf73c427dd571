"""Dependencies: the serving lock against a list of versions that are known as slow or unsafe.

The list (``advisories.json``) lies in the package, is dated, and is read offline. It is short on
purpose: what serves models. A package that is not in it is unknown, which is never "safe".
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from upkeep.inspections import Found, Material, finder
from upkeep.records import ReviewFinding

LIST = Path(__file__).with_name("advisories.json")
OLD_DAYS = 90
"""A list that is older is itself a finding: advisories come every week."""

MOST_NAMED = 12
_find = finder("dependencies")


class Advisory(BaseModel):
    """Versions of a package (PEP 440, ``affected``) that are unsafe or slow, and who says so."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    package: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    affected: Annotated[str, Field(min_length=2)]
    kind: Literal["unsafe", "slow"]
    why: Annotated[str, Field(min_length=10)]
    fixed: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=5)]


class Advisories(BaseModel):
    """The list, and the day up to which its sources were read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    as_of: date
    advisories: tuple[Advisory, ...]


class Locked(NamedTuple):
    """What a lock says: versions by name (normalised), and lines that say no one version."""

    versions: Mapping[str, str]
    unpinned: tuple[str, ...]


def review(material: Material) -> Sequence[Found]:
    """Every listed version of the lock, or of this environment where no lock was named."""
    known = advisories()
    if material.lock is None:
        where, locked = "the worker's environment", installed()
    else:
        where, locked = "the serving lock", read_lock(material.lock)
    hits = [_hit(entry, locked.versions[entry.package]) for entry in matches(locked, known)]
    return [
        *hits,
        *_unpinned(locked, where),
        *_stale(known, material.job.day),
        _looked_at(locked, known, where, len(hits), named=material.lock is not None),
    ]


@cache
def advisories() -> Advisories:
    """The list of this package; pydantic's ValidationError where it is broken."""
    return Advisories.model_validate_json(LIST.read_bytes(), strict=False)


def matches(locked: Locked, known: Advisories) -> Iterator[Advisory]:
    """The entries whose range holds a locked version; pre-releases count as what they are."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    for entry in sorted(known.advisories, key=lambda e: (e.package, e.source, e.affected)):
        version = locked.versions.get(entry.package)
        if version is None:
            continue
        known_as = Version(Version(version).public)  # a local part (+cpu) says who built it
        # PEP 440 keeps 5.3.0rc1 out of "<5.3.0"; nobody says that a candidate has the fix.
        candidate = known_as.is_prerelease and known_as.release == Version(entry.fixed).release
        if candidate or SpecifierSet(entry.affected).contains(known_as, prereleases=True):
            yield entry


def read_lock(text: str) -> Locked:
    """The pins of a requirements file; lines for another platform or Python are left out."""
    from packaging.requirements import InvalidRequirement, Requirement

    versions: dict[str, str] = {}
    unpinned: list[str] = []
    for line in _lines(text):
        try:
            found = Requirement(line)
        except InvalidRequirement:
            unpinned.append(line)
            continue
        if found.marker is not None and not found.marker.evaluate():
            continue
        pins = [s.version for s in found.specifier if s.operator in ("==", "===")]
        if len(pins) != 1 or not _add(versions, found.name, pins[0]):
            unpinned.append(line)
    return Locked(versions, tuple(unpinned))


def _add(versions: dict[str, str], name: str, version: str) -> bool:
    """Put a pin in under its normalised name; False where it is no one version (2.*)."""
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    try:
        Version(version)
    except InvalidVersion:
        return False
    versions[canonicalize_name(name)] = version
    return True


def _lines(text: str) -> Iterator[str]:
    """Logical lines without comments, hashes and options of the index."""
    for line in text.replace("\\\n", " ").splitlines():
        plain = line.split(" #")[0].split(" --hash")[0].strip()
        if plain and not plain.startswith(("#", "--")):
            yield plain


def installed() -> Locked:
    """What is installed where this runs."""
    versions: dict[str, str] = {}
    odd = [d for d in importlib.metadata.distributions() if not _add(versions, d.name, d.version)]
    return Locked(versions, tuple(f"{d.name} {d.version}" for d in odd))


def _hit(entry: Advisory, version: str) -> ReviewFinding:
    unsafe = entry.kind == "unsafe"
    return _find(
        f"{entry.kind}-version",
        "warning" if unsafe else "advice",
        f"{entry.package} {version} is {entry.kind}: {entry.why} ({entry.source})",
        {
            "package": entry.package,
            "version": version,
            "affected": entry.affected,
            "fixed": entry.fixed,
            "source": entry.source,
        },
        "a known hole is closed" if unsafe else entry.why,
        action=f"move {entry.package} to {entry.fixed} or later in the serving lock",
    )


def _unpinned(locked: Locked, where: str) -> Iterator[ReviewFinding]:
    if locked.unpinned:
        some = "; ".join(locked.unpinned[:MOST_NAMED])
        yield _find(
            "unpinned",
            "advice",
            f"{len(locked.unpinned)} lines of {where} name no one version: {some}",
            {"unpinned": float(len(locked.unpinned)), "pinned": float(len(locked.versions))},
            "the same build twice, and versions that can be looked up",
            action="pin them with ==, as a resolver's lock does",
        )


def _stale(known: Advisories, day: date) -> Iterator[ReviewFinding]:
    age = (day - known.as_of).days
    if age > OLD_DAYS:
        yield _find(
            "old-list",
            "note",
            f"the list of known versions is of {known.as_of}, {age} days before this day",
            {"age_days": float(age), "as_of": known.as_of.isoformat()},
            "newer advisories are found",
            action="update Upkeep, whose package holds the list",
        )


def _looked_at(
    locked: Locked, known: Advisories, where: str, hits: int, *, named: bool
) -> ReviewFinding:
    listed = {entry.package for entry in known.advisories}
    seen = sorted(listed & locked.versions.keys())
    outside = len(locked.versions) - len(seen)
    what = (
        f"{len(locked.versions)} packages of {where} against the list of {known.as_of}: {hits} "
        f"entries fit; {len(seen)} packages are in the list, {outside} are not in the list, which "
        "does not say that they are safe"
    )
    more = "" if named else "; the model's file names no serving.lock"
    return _find(
        "looked-at",
        "note",
        what + more,
        {
            "packages": float(len(locked.versions)),
            "in_the_list": float(len(seen)),
            "not_in_the_list": float(outside),
            "as_of": known.as_of.isoformat(),
        },
        "none by itself",
        action=None if named else "name the lock of production's servers: serving: {lock: ..}",
        because="it says what was looked at" if named else None,
    )
