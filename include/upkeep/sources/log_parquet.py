"""One Parquet file, checked by its schema and in SQL, into the day's table.

It has the columns that a JSON row has: ``time`` as a timestamp in UTC or as RFC 3339 text,
token counts of an integer type, durations of any type of numbers. A flipped byte often reads
back as other data without an error: a file is believed if its manifest says so; without one it
is copied page by page with every page's checksum verified, and flagged if it has none.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Any

from upkeep.errors import SourceError
from upkeep.sources import log_aside
from upkeep.sources.log_aside import Aside, Notes, named_few
from upkeep.sources.log_parquet_sql import (
    COUNTS,
    DURATIONS,
    NEEDED,
    ROW_NUMBER,
    Kind,
    ParquetRows,
)
from upkeep.sources.log_row import FIELDS, BadRow, printable
from upkeep.sources.log_table import LogTable
from upkeep.spec_sources import RequestLogSource

BATCH_ROWS = 16_384
_NEXT_I32 = b"\x15"  # the field after the last one, a 32-bit integer
_WANTED: dict[Kind, str] = {
    "text": "text",
    "count": "a type of whole numbers",
    "number": "a type of numbers",
    "instant": "a timestamp in UTC or text",
    "instant_ns": "a timestamp in UTC or text",
}


@dataclass(frozen=True)
class ParquetFile:
    """A file of the day. ``name`` is for people, ``number`` for the table.

    ``linked`` is a path of our own choosing that DuckDB reads: no name from outside stands in
    a query.
    """

    path: Path
    name: str
    number: int
    day: date
    source: RequestLogSource
    linked: Path
    columns: dict[str, Kind] = field(default_factory=dict)

    def read(self, table: LogTable, notes: Notes, *, closed: bool) -> bool:
        """Add the good rows to the table and set the others aside; whether the file is whole."""
        import pyarrow as pa

        count = 0
        try:
            file = _open(self.path)
            count = max(0, file.metadata.num_rows)
            self._check(file, notes)
            self._link(file, notes, closed=closed)
        except BadRow as bad:
            return self._refuse(notes, bad.reason, count)
        except (pa.ArrowException, OSError, ValueError, OverflowError):
            return self._refuse(notes, "is damaged or cut off, no Parquet file", count)
        return self._add(table, notes, count)

    def raw_rows(self, numbers: Collection[int]) -> bytes:
        """These rows as JSON lines, as many bytes as the quarantine keeps."""
        found, wanted = bytearray(), {number - 1 for number in numbers}
        first = 0
        for batch in _open(self.linked).iter_batches(BATCH_ROWS, columns=sorted(self.columns)):
            inside = sorted(n - first for n in wanted if first <= n < first + len(batch))
            for row in _plain(batch.take(inside)).to_pylist():
                found += json.dumps(row, default=str).encode() + b"\n"
            first += len(batch)
            if len(found) >= log_aside.KEPT_BYTES:
                break
        return bytes(found[: log_aside.KEPT_BYTES])

    def rows_sql(self) -> str:
        """A query of the rows, as :class:`upkeep.sources.log_table.TextFile` has it."""
        return self._rows().sql(str(self.linked))

    def _rows(self) -> ParquetRows:
        return ParquetRows(self.columns, self.day, self.source.slice_field)

    # ------------------------------------------------------------------ the file

    def _check(self, file: Any, notes: Notes) -> None:
        """Raise BadRow for a schema that is not that of a log, or too large a file."""
        groups = (file.metadata.row_group(n) for n in range(file.metadata.num_row_groups))
        size, limit = sum(g.total_byte_size for g in groups), self.source.max_decompressed_bytes
        if size > limit:
            raise BadRow(f"decompresses to more than {limit} bytes")
        types = list(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
        names = [name for name, _ in types]
        if len({name.lower() for name in names}) < len(names) or ROW_NUMBER in names:
            raise BadRow(f"has two columns of one name, or one called {ROW_NUMBER}")
        known = FIELDS | {self.source.slice_field}
        unknown = sorted(printable(name) for name in names if name not in known)
        notes.note_unknown(unknown)
        missing = sorted(NEEDED - set(names))
        if missing:
            instead = f", but has {named_few(unknown)}" if unknown else ""
            raise BadRow(f"has no column {', '.join(missing)}{instead}")
        for name, type_ in types:
            if name in known and str(type_) != "null":
                self.columns[name] = _kind(name, type_)

    def _link(self, file: Any, notes: Notes, *, closed: bool) -> None:
        """Make ``linked`` a file to believe: the file itself, or what was verified of it."""
        if closed:
            self.linked.symlink_to(self.path.resolve())
            return
        with self.path.open("rb") as raw:
            if not has_checksums(raw, file.metadata):
                notes.unchecked.append(self.name)
        self._copy(file)

    def _copy(self, file: Any) -> None:
        """Write what was read with verified checksums to ``linked``."""
        import pyarrow.parquet as pq

        schema = file.schema_arrow.remove_metadata()
        for name in [n for n in schema.names if n not in self.columns]:
            schema = schema.remove(schema.get_field_index(name))
        batches = file.iter_batches(BATCH_ROWS, columns=sorted(self.columns))
        with pq.ParquetWriter(self.linked, schema) as writer:
            for batch in batches:
                try:
                    writer.write_batch(batch.select(schema.names))
                except OSError as error:  # ours, not the file's: a full disk
                    raise SourceError(f"{self.name} cannot be copied: {error}") from error

    def _add(self, table: LogTable, notes: Notes, count: int) -> bool:
        import duckdb

        try:
            bad = table.add_file(self.number, self)
        except (
            duckdb.InvalidInputException,
            duckdb.ConversionException,
            duckdb.SerializationException,
        ):
            table.forget(self.number)
            return self._refuse(notes, "cannot be read as Parquet", count)
        notes.rows_read += count
        reasons = self._rows().reasons()
        for fault, rows, numbers in bad:
            aside = Aside(self.name, reasons[fault - 1], rows, unit="row")
            aside.lines = numbers[: log_aside.MAX_NAMED_LINES]
            aside.data += self.raw_rows(numbers)
            notes.asides.append(aside)
        return True

    def _refuse(self, notes: Notes, reason: str, rows: int) -> bool:
        """Set the whole file aside, with its beginning; False."""
        notes.rows_read += rows
        with self.path.open("rb") as file:
            data = bytearray(file.read(log_aside.KEPT_BYTES))
        notes.asides.append(Aside(self.name, reason, rows, data=data))
        return False


def _plain(batch: Any) -> Any:
    """The batch with times as whole numbers: not every one is a date of Python's."""
    import pyarrow as pa

    fields = [
        pa.field(f.name, pa.int64()) if pa.types.is_timestamp(f.type) else f for f in batch.schema
    ]
    return batch.cast(pa.schema(fields))


def _open(path: Path) -> Any:
    """The file by Arrow, which verifies the checksums of pages that have one."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, page_checksum_verification=True)


def _kind(name: str, found: Any) -> Kind:
    """What a known column holds.

    Raises:
        BadRow: another type than a log has there.

    """
    from pyarrow import types

    inner = found.value_type if types.is_dictionary(found) else found
    is_text = types.is_string(inner) or types.is_large_string(inner)
    wanted: Kind = "text"
    if name in COUNTS:
        wanted, fits = "count", types.is_integer(found)
    elif name in DURATIONS:
        fits = types.is_integer(found) or types.is_floating(found) or types.is_decimal(found)
        wanted = "number"
    elif name == "time":
        wanted, fits = ("text", True) if is_text else _instant(found)
    else:
        fits = is_text or types.is_string_view(inner)
    if not fits:
        kind = str(found)[:60]
        raise BadRow(f"has a column {name} of type {kind}; it must be {_WANTED[wanted]}")
    return wanted


def _instant(found: Any) -> tuple[Kind, bool]:
    """Whether it is a timestamp with a time zone: one without could be of any place."""
    from pyarrow import types

    fits = bool(types.is_timestamp(found) and found.tz)
    return "instant_ns" if fits and found.unit == "ns" else "instant", fits


# ---------------------------------------------------------------- checksums of pages


def has_checksums(file: IO[bytes], metadata: Any) -> bool:
    """Whether the first page of each column chunk has a CRC: writers give all or none one.

    A page's header is a Thrift struct in the compact protocol: three 32-bit integers (type and
    two sizes), then the CRC, if there is one, as a fourth. No library tells.
    """
    chunks = (
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    )
    for chunk in chunks:
        file.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
        if not _header_has_crc(file.read(32)):
            return False
    return True


def _header_has_crc(header: bytes) -> bool:
    at = 0
    for _ in range(3):
        if header[at : at + 1] != _NEXT_I32:
            return False
        at += 1
        while header[at : at + 1] >= b"\x80":  # a varint goes on
            at += 1
        at += 1
    return header[at : at + 1] == _NEXT_I32
