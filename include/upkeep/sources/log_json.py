"""One file of JSON lines, plain or compressed, line by line into the day's table."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from upkeep.sources import log_aside
from upkeep.sources.log_aside import Aside, Notes
from upkeep.sources.log_codec import Format, LogStream, open_lines
from upkeep.sources.log_file import lines, open_regular
from upkeep.sources.log_row import BadRow, Row, parse_row
from upkeep.sources.log_table import LogTable
from upkeep.spec_sources import RequestLogSource

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class JsonLines:
    """A file of the day. ``name`` is for people, ``number`` for the table."""

    path: Path
    name: str
    number: int
    format: Format
    day: date
    source: RequestLogSource

    def read(self, table: LogTable, notes: Notes) -> tuple[bool, str]:
        """Add the good rows to the table and set the others aside.

        Returns whether each line is JSON text and none is cut off, and the SHA-256 of what was
        read (of a compressed file: of its contents).
        """
        digest, asides = hashlib.sha256(), dict[str, Aside]()
        whole, room, read = True, log_aside.KEPT_BYTES, 0
        with open_regular(self.path) as file:
            opened, stream = open_lines(self.format, file, self.source.max_decompressed_bytes)
            for number, raw in enumerate(lines(opened, self.source.max_line_bytes, digest), 1):
                line = raw.removeprefix(_BOM) if number == 1 else raw
                if not line.strip():
                    continue
                read += 1
                try:
                    row = self._parse(line)
                except BadRow as bad:
                    notes.note_unknown(bad.unknown)
                    aside = asides.setdefault(bad.reason, Aside(self.name, bad.reason))
                    aside.add_line(number, raw, room)
                    room -= len(raw)
                    whole = whole and bad.parses
                else:
                    notes.note_unknown(row.unknown)
                    table.add(self.number, number, row)
        notes.rows_read += read
        return self._ended(stream, table, notes, asides, read) and whole, digest.hexdigest()

    def raw_rows(self, numbers: Collection[int]) -> bytes:
        """The lines of these numbers as they are, as many bytes as the quarantine keeps."""
        found, wanted = bytearray(), set(numbers)
        with open_regular(self.path) as file:
            opened, _ = open_lines(self.format, file, self.source.max_decompressed_bytes)
            for number, raw in enumerate(
                lines(opened, self.source.max_line_bytes, hashlib.sha256()), 1
            ):
                if number in wanted:
                    found += raw
                if number >= max(wanted) or len(found) >= log_aside.KEPT_BYTES:
                    break
        return bytes(found[: log_aside.KEPT_BYTES])

    def _parse(self, line: bytes) -> Row:
        limit = self.source.max_line_bytes
        if len(line.rstrip(b"\r\n")) > limit:
            raise BadRow(f"is longer than {limit} bytes", parses=False)
        try:
            return parse_row(line, self.day, self.source.slice_field)
        except BadRow as bad:
            cut_off = not bad.parses and not line.endswith(b"\n")
            raise (BadRow("is cut off", parses=False) if cut_off else bad) from None

    def _ended(
        self, stream: LogStream, table: LogTable, notes: Notes, asides: dict[str, Aside], read: int
    ) -> bool:
        """Note how the file ended; whether it may be whole."""
        if stream.too_large and stream.fault:
            table.forget(self.number)
            notes.asides.append(Aside(self.name, stream.fault, read))
            return False
        notes.asides += asides.values()
        if stream.tail_bytes:
            notes.flags.append(f"{self.name} goes on after its data: {stream.tail_bytes} bytes")
        if stream.fault:
            notes.asides.append(Aside(self.name, stream.fault))
        return stream.fault is None
