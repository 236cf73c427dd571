"""Request logs: JSON lines, one file an hour, under ``<path>/<day>/<HH>.jsonl``.

A file is read as a stream of bounded lines. The writer closes a day with ``_complete.json``::

    {"files": {"00.jsonl": {"size_bytes": 1234, "sha256": "..."}, ...}}

An hour is covered if its file is there and whole: each line is JSON text, the last one is not
cut off, and the file is the one that the manifest records. Of a file that differs from its
manifest no row is believed; of a file that is cut off, the whole rows are. A writer leaves an
empty file for an hour without requests, or an empty ``files`` for a day without any.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from upkeep.errors import ConfigError, SourceError, shown
from upkeep.records import Quarantined
from upkeep.sources import Collected, Quarantine
from upkeep.sources.log_day import DayTotals, Reading
from upkeep.sources.log_file import (
    MANIFEST_BYTES,
    Manifest,
    lines,
    measure,
    open_regular,
    parse_manifest,
)
from upkeep.sources.log_row import BadRow, parse_row, printable
from upkeep.spec import ModelSpec, RequestLogSource

MANIFEST = "_complete.json"
KEPT_BYTES = 4 * 2**20  # of one file, for the quarantine
MAX_NAMED_LINES = 5
MAX_NAMED_FILES = 3
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HOUR_FILES = tuple(f"{hour:02d}.jsonl" for hour in range(24))


def collect(spec: ModelSpec, day: date, quarantine: Quarantine) -> Collected:
    """Read all request logs of a model's UTC day; see :func:`upkeep.sources.collect`."""
    folders = [_folder(spec, number) / day.isoformat() for number in range(len(spec.sources))]
    reading, totals = _read(spec, day, folders, frozenset())
    if totals.conflicts:  # which of two came first must not matter: neither is counted
        reading, totals = _read(spec, day, folders, frozenset(totals.conflicts))
    for aside in reading.aside:
        quarantine(aside.what, bytes(aside.data), aside.reason)
    return Collected(totals.metrics(spec, day, reading.facts()), totals.samples())


def _folder(spec: ModelSpec, number: int) -> Path:
    """The source's folder, with each ``${VAR}`` of its path taken from the environment."""
    path, where = spec.sources[number].path, f"{spec.name}: sources[{number}].path"
    if "://" in path:
        raise ConfigError(where, path, "only local folders are read", "give a folder")

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise ConfigError(where, path, f"{match[1]} is not set", f"export {match[1]}")
        return found

    return Path(_VARIABLE.sub(value, path))


@dataclass
class _Aside:
    """What is set aside for one reason: whole files (no line numbers) or lines of a file."""

    file: str
    reason: str
    rows: int = 0
    lines: list[int] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)

    @property
    def what(self) -> str:
        if not self.lines:
            return self.file
        numbers = ", ".join(map(str, self.lines))
        more = f" and {self.rows - len(self.lines)} more" if self.rows > len(self.lines) else ""
        return f"{self.file} {'line' if self.rows == 1 else 'lines'} {numbers}{more}"

    def add_line(self, number: int, raw: bytes, room: int) -> None:
        self.rows += 1
        if len(self.lines) < MAX_NAMED_LINES:
            self.lines.append(number)
        self.data += raw[: max(room, 0)]


@dataclass
class _Reading:
    """What reading the day's folders brings, beside the totals."""

    covered: list[list[bool]]
    rows_read: int = 0
    aside: list[_Aside] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    def facts(self) -> Reading:
        hours = tuple(all(source) for source in zip(*self.covered, strict=True))
        whole = sum(sum(source) for source in self.covered)
        return Reading(
            covered=hours,
            coverage=whole / (24 * len(self.covered)),
            rows_read=self.rows_read,
            quarantined=tuple(
                Quarantined(what=a.what, reason=a.reason, rows=a.rows) for a in self.aside
            ),
            flags=tuple(self.flags),
        )


def _read(
    spec: ModelSpec, day: date, folders: list[Path], refused: frozenset[bytes]
) -> tuple[_Reading, DayTotals]:
    reading, totals = _Reading([]), DayTotals(refused)
    for number, (source, folder) in enumerate(zip(spec.sources, folders, strict=True), start=1):
        prefix = f"source {number}: " if len(folders) > 1 else ""
        reader = _FolderReader(source, folder, day, prefix, reading, totals)
        reading.covered.append(reader.read())
    return reading, totals


class _FolderReader:
    """Reads one source's folder of one day into ``reading`` and ``totals``."""

    def __init__(
        self,
        source: RequestLogSource,
        folder: Path,
        day: date,
        prefix: str,
        reading: _Reading,
        totals: DayTotals,
    ) -> None:
        self._source, self._folder, self._day, self._prefix = source, folder, day, prefix
        self._reading, self._totals = reading, totals

    def read(self) -> list[bool]:
        """Which of the 24 hours are covered."""
        try:
            names = {path.name for path in self._folder.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            self._set_aside(self._day.isoformat(), "no_source")
            return [False] * 24
        except OSError as error:
            raise SourceError(f"{self._folder} cannot be listed: {error.strerror}") from error
        self._flag_others(names)
        if MANIFEST in names:
            return self._read_closed(names)
        self._flag(f"the writer did not close the day: there is no {MANIFEST}")
        if names.isdisjoint(_HOUR_FILES):
            self._set_aside(self._day.isoformat(), "has no file of any hour")
            return [False] * 24
        return [self._guarded(name, None) for name in _HOUR_FILES]

    def _read_closed(self, names: set[str]) -> list[bool]:
        manifest = self._manifest()
        if manifest is None:
            return [False] * 24
        if not manifest.files and names.isdisjoint(_HOUR_FILES):
            self._flag("no_traffic: the manifest says that nothing was requested")
            return [True] * 24
        return [self._guarded(name, manifest) for name in _HOUR_FILES]

    def _manifest(self) -> Manifest | None:
        data = b""
        try:
            with open_regular(self._folder / MANIFEST) as file:
                data = file.read(MANIFEST_BYTES + 1)
            return parse_manifest(data)
        except (BadRow, OSError, ValidationError):
            self._set_aside(MANIFEST, "is not a manifest, so no file can be told whole", data)
            return None

    def _guarded(self, name: str, manifest: Manifest | None) -> bool:
        try:
            with open_regular(self._folder / name) as file:
                return self._read_hour(name, file, manifest)
        except FileNotFoundError:
            listed = manifest is not None and name in manifest.files
            self._set_aside(name, "is missing" + (", its manifest lists it" if listed else ""))
        except OSError as error:
            self._set_aside(name, f"cannot be read ({error.strerror})")
        return False

    def _read_hour(self, name: str, file: BinaryIO, manifest: Manifest | None) -> bool:
        fault = self._unbelievable(name, file, manifest)
        if fault is None:
            entry = manifest.files[name] if manifest else None
            return self._read_rows(name, file, entry.sha256 if entry else None)
        reason, rows = fault
        self._reading.rows_read += rows
        file.seek(0)
        self._set_aside(name, reason, file.read(KEPT_BYTES), rows)
        return False

    def _unbelievable(
        self, name: str, file: BinaryIO, manifest: Manifest | None
    ) -> tuple[str, int] | None:
        """Why no row of the file may be believed, and how many lines it has; None if they may."""
        if file.read(2) in _UTF16_BOMS:
            return "is UTF-16, not UTF-8", 0
        file.seek(0)
        if manifest is None:
            empty = os.fstat(file.fileno()).st_size == 0
            return ("is empty", 0) if empty else None
        size, count, sha256 = measure(file)
        file.seek(0)
        entry = manifest.files.get(name)
        if entry is None:
            return "is not in its manifest", count
        if size < entry.size_bytes:
            return f"is cut off ({size} of {entry.size_bytes} bytes)", count
        return None if sha256 == entry.sha256 else ("differs from its manifest", count)

    def _read_rows(self, name: str, file: BinaryIO, sha256: str | None) -> bool:
        """Add the file's rows up; whether each of its lines is JSON text and none is cut off."""
        limit, digest = self._source.max_line_bytes, hashlib.sha256()
        whole, room, asides = True, KEPT_BYTES, dict[str, _Aside]()
        for number, raw in enumerate(lines(file, limit, digest), start=1):
            line = raw.removeprefix(_BOM) if number == 1 else raw
            if not line.strip():
                continue
            self._reading.rows_read += 1
            try:
                self._add(line)
            except BadRow as bad:
                self._totals.note_unknown(bad.unknown)
                aside = asides.setdefault(bad.reason, _Aside(self._prefix + name, bad.reason))
                aside.add_line(number, raw, room)
                room -= len(raw)
                whole = whole and bad.parses
        if sha256 not in (None, digest.hexdigest()):
            raise SourceError(f"{self._folder / name} changed while it was read")
        self._reading.aside += asides.values()
        return whole

    def _add(self, line: bytes) -> None:
        limit = self._source.max_line_bytes
        if len(line.rstrip(b"\r\n")) > limit:
            raise BadRow(f"is longer than {limit} bytes", parses=False)
        try:
            row = parse_row(line, self._day, self._source.slice_field)
        except BadRow as bad:
            cut_off = not bad.parses and not line.endswith(b"\n")
            raise (BadRow("is cut off", parses=False) if cut_off else bad) from None
        self._totals.add(row)

    def _set_aside(self, name: str, reason: str, data: bytes = b"", rows: int = 0) -> None:
        aside = _Aside(self._prefix + name, reason, rows, data=bytearray(data))
        self._reading.aside.append(aside)

    def _flag(self, words: str) -> None:
        self._reading.flags.append(self._prefix + words)

    def _flag_others(self, names: set[str]) -> None:
        others = sorted(names - {MANIFEST} - set(_HOUR_FILES))
        if others:
            named = ", ".join(shown(printable(name)) for name in others[:MAX_NAMED_FILES])
            more = f" and {len(others) - MAX_NAMED_FILES} more"
            more = more if len(others) > MAX_NAMED_FILES else ""
            self._flag(f"files that are no hour's were not read: {named}{more}")
