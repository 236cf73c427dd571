"""Request logs: one file an hour, under ``<path>/<day>/<HH>.<format>``, in a folder or on S3.

The format is JSON lines (``jsonl``, ``jsonl.gz``, ``jsonl.zst``) or ``parquet``; an hour may have
several files. The writer closes a day with ``_complete.json``::

    {"files": {"00.jsonl": {"size_bytes": 1234, "sha256": "..."}, ...}}

An hour is covered if its files are there and whole: each is the one that the manifest records,
each line is JSON text, and nothing is cut off. Of a file that differs from its manifest no row
is believed; of a file that is cut off, the whole rows are. A writer leaves an empty file for an
hour without requests, or an empty ``files`` for a day without any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from upkeep.errors import SourceError, shown
from upkeep.records import Sample
from upkeep.samples import choose_samples
from upkeep.sources import Asked, Collected, log_aside
from upkeep.sources.log_aside import Aside, Notes, named_few
from upkeep.sources.log_day import LogDay
from upkeep.sources.log_file import (
    MANIFEST,
    MANIFEST_BYTES,
    HourFile,
    Manifest,
    hour_files,
    open_regular,
    parse_manifest,
)
from upkeep.sources.log_images import fetch_images
from upkeep.sources.log_json import JsonLines
from upkeep.sources.log_objects import Place, place
from upkeep.sources.log_parquet import ParquetFile
from upkeep.sources.log_row import BadRow, printable
from upkeep.sources.log_table import LogTable
from upkeep.sources.log_whole import unbelievable
from upkeep.spec_sources import RequestLogSource

IMAGES = "images"  # the folder of an image model's outputs
CONFLICT = "has the request_id of a different request"
GROWING = "is still growing"


def collect(sources: Sequence[RequestLogSource], asked: Asked) -> Collected:
    """Read all request logs of a model's UTC day; see :func:`upkeep.sources.collect`."""
    places = [place(source, asked.spec.name, asked.credentials) for source in sources]
    with TemporaryDirectory(prefix="upkeep-log-") as folder, LogTable(Path(folder)) as table:
        beside = frozenset({IMAGES} if asked.spec.quality.modality == "image" else ())
        reading = _DayReading(asked.day, table, beside)
        covered = [
            _PlaceReader(source, where, f"source {n}: " if len(places) > 1 else "", reading).read()
            for n, (source, where) in enumerate(zip(sources, places, strict=True), start=1)
        ]
        day = LogDay(table, reading.dedupe())
        samples = day.samples()
        images = _images(places, samples, asked, reading.notes)
        read = " + ".join(f"request_log:{source.path}" for source in sources)
        facts = reading.notes.facts(covered)
        metrics = day.metrics(asked.spec, read, asked.day, facts, len(samples))
        reading.check_unchanged()
    for aside in reading.notes.asides:
        asked.quarantine(aside.what, bytes(aside.data), aside.reason)
    return Collected(metrics, samples, images)


def _images(
    places: Sequence[Place], samples: Sequence[Sample], asked: Asked, notes: Notes
) -> dict[str, bytes]:
    """The images of as many samples as quality is measured on; none of a model of texts."""
    quality = asked.spec.quality
    if quality.modality != "image":
        return {}
    names = [sample.completion for sample in choose_samples(samples, quality.max_samples)]
    return fetch_images(places, asked.day, names, notes)


def probe(source: RequestLogSource, asked: Asked) -> str:
    """Where the logs lie, and how many days are there."""
    found = place(source, asked.spec.name, asked.credentials)
    days = found.days()
    return f"{found.where}: {len(days)} days" + (f", {days[0]} to {days[-1]}" if days else "")


@dataclass
class _DayReading:
    """All files of all places of one day."""

    day: date
    table: LogTable
    beside: frozenset[str] = frozenset()  # what else may lie in the day's folder
    notes: Notes = field(default_factory=Notes)
    files: list[JsonLines | ParquetFile] = field(default_factory=list)
    _stamps: list[tuple[Place, str, str]] = field(default_factory=list)

    def dedupe(self) -> int:
        """Set aside the requests that claim one id; how many others were delivered again."""
        duplicates, conflicts = self.table.dedupe()
        for found in conflicts:  # which of two came first must not matter: neither is counted
            file = self.files[found.file]
            unit = "row" if isinstance(file, ParquetFile) else "line"
            aside = Aside(file.name, CONFLICT, found.count, unit=unit)
            aside.lines = list(found.lines[: log_aside.MAX_NAMED_LINES])
            aside.data += file.raw_rows(found.lines)
            self.notes.asides.append(aside)
        return duplicates

    def watch(self, where: Place, name: str, stamp: str) -> None:
        """Remember a file that queries go back to until the day is done."""
        self._stamps.append((where, name, stamp))

    def check_unchanged(self) -> None:
        """Raise SourceError if a file was changed since it was checked."""
        for where, name, stamp in self._stamps:
            if where.stamp(self.day, name) != stamp:
                raise SourceError(_changed(where, self.day, name))


def _changed(where: Place, day: date, name: str) -> str:
    return f"{where.where}/{day.isoformat()}/{name} changed while it was read"


class _PlaceReader:
    """Reads one source's folder of one day."""

    def __init__(
        self, source: RequestLogSource, where: Place, prefix: str, reading: _DayReading
    ) -> None:
        self._source, self._place, self._prefix, self._reading = source, where, prefix, reading
        self._day, self._notes, self._table = reading.day, reading.notes, reading.table
        self._usual = "jsonl"

    def read(self) -> list[bool]:
        """Which of the 24 hours are covered."""
        names = self._place.names(self._day)
        if names is None:
            self._set_aside(self._day.isoformat(), "no_source")
            return [False] * 24
        files = hour_files(names)
        beside = {MANIFEST, *self._reading.beside}
        self._flag_others(names - beside - {file.name for file in files})
        if files:
            self._usual = Counter(file.format for file in files).most_common(1)[0][0]
        if MANIFEST in names:
            return self._read_closed(files)
        self._flag(f"the writer did not close the day: there is no {MANIFEST}")
        if not files:
            self._set_aside(self._day.isoformat(), "has no file of any hour")
            return [False] * 24
        return [self._read_open_hour(hour, files) for hour in range(24)]

    def _read_closed(self, files: list[HourFile]) -> list[bool]:
        manifest = self._manifest()
        if manifest is None:
            return [False] * 24
        if not manifest.files and not files:
            self._flag("no_traffic: the manifest says that nothing was requested")
            return [True] * 24
        return [self._read_closed_hour(hour, files, manifest) for hour in range(24)]

    def _read_closed_hour(self, hour: int, files: list[HourFile], manifest: Manifest) -> bool:
        """Whether the manifest lists files of the hour and each of them is whole."""
        listed = [file for file in hour_files(manifest.files) if file.hour == hour]
        others = [file for file in files if file.hour == hour and file not in listed]
        if not listed and not others:
            self._missing(hour)
        whole = [self._guarded(file, manifest) for file in listed]
        for file in others:
            self._guarded(file, manifest)
        return bool(whole) and all(whole)

    def _read_open_hour(self, hour: int, files: list[HourFile]) -> bool:
        """Whether the hour has files and each of them is whole."""
        found = [file for file in files if file.hour == hour]
        if not found:
            self._missing(hour)
        whole = [self._guarded(file, None) for file in found]
        return bool(whole) and all(whole)

    def _missing(self, hour: int) -> None:
        self._set_aside(f"{hour:02d}.{self._usual}", "is missing")

    def _manifest(self) -> Manifest | None:
        data = b""
        try:
            with open_regular(self._fetch(MANIFEST)) as file:
                data = file.read(MANIFEST_BYTES + 1)
            return parse_manifest(data)
        except (BadRow, OSError, ValidationError):
            self._set_aside(MANIFEST, "is not a manifest, so no file can be told whole", data)
            return None

    # ------------------------------------------------------------------ one file

    def _guarded(self, file: HourFile, manifest: Manifest | None) -> bool:
        """Read a file if it is there; whether it is whole."""
        try:
            stamp = self._place.stamp(self._day, file.name)
            return self._read_file(file, self._fetch_listed(file.name), stamp, manifest)
        except FileNotFoundError:
            listed = manifest is not None and file.name in manifest.files
            self._set_aside(file.name, "is missing" + (", its manifest lists it" if listed else ""))
        except OSError as error:
            self._set_aside(file.name, f"cannot be read ({error.strerror})")
        return False

    def _fetch_listed(self, name: str) -> Path:
        """Fetch a file; if it is gone, list once more: it may have been replaced just now."""
        try:
            return self._fetch(name)
        except FileNotFoundError:
            if name not in (self._place.names(self._day) or ()):
                raise
            return self._fetch(name)

    def _fetch(self, name: str) -> Path:
        """The file, or a copy under a number: a key is never made a path."""
        to = self._table.folder / f"fetched-{len(self._reading.files)}"
        return self._place.fetch(self._day, name, to)

    def _read_file(self, file: HourFile, path: Path, stamp: str, manifest: Manifest | None) -> bool:
        with open_regular(path) as opened:
            fault = unbelievable(file, opened, manifest)
            if fault is not None:
                reason, rows = fault
                self._notes.rows_read += rows
                opened.seek(0)
                self._set_aside(file.name, reason, opened.read(log_aside.KEPT_BYTES), rows)
                return False
        return self._read_rows(file, path, stamp, manifest)

    def _read_rows(self, file: HourFile, path: Path, stamp: str, manifest: Manifest | None) -> bool:
        """Add the file's rows up; whether it is whole."""
        number, name = len(self._reading.files), self._prefix + file.name
        asides, rows = len(self._notes.asides), self._notes.rows_read
        sha256: str | None = None
        if file.format == "parquet":
            linked = self._table.folder / f"{number}.parquet"
            parquet = ParquetFile(path, name, number, self._day, self._source, linked)
            self._reading.files.append(parquet)
            whole = parquet.read(self._table, self._notes, closed=manifest is not None)
        else:
            lines = JsonLines(path, name, number, file.format, self._day, self._source)
            self._reading.files.append(lines)
            whole, sha256 = lines.read(self._table, self._notes)
        if self._notes.rows_read > rows:
            self._notes.hours_with_rows.add(file.hour)
        if manifest is not None:
            expected = manifest.files[file.name].sha256
            if file.format == "jsonl" and sha256 != expected:
                raise SourceError(_changed(self._place, self._day, file.name))
            if path.parent != self._table.folder:  # no copy of ours
                self._reading.watch(self._place, file.name, stamp)
        elif self._place.stamp(self._day, file.name) != stamp:
            del self._notes.asides[asides:]
            self._table.forget(number)
            self._set_aside(file.name, GROWING)
            return False
        return whole

    def _set_aside(self, name: str, reason: str, data: bytes = b"", rows: int = 0) -> None:
        aside = Aside(self._prefix + name, reason, rows, data=bytearray(data))
        self._notes.asides.append(aside)

    def _flag(self, words: str) -> None:
        self._notes.flags.append(self._prefix + words)

    def _flag_others(self, names: set[str]) -> None:
        if names:
            named = named_few([shown(printable(name)) for name in sorted(names)])
            self._flag(f"files that are no hour's were not read: {named}")
