"""A day's requests as one DuckDB table, out of core, whatever format they came in.

``requests`` holds what is counted, without texts; ``texts`` what samples and the comparison of
two deliveries need, of rows that were read as JSON (Parquet files are asked again). Requests
are told apart by DuckDB's 64-bit hash of their id first; only where two hashes are equal the
ids themselves are compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol, Self

from upkeep.errors import SourceError
from upkeep.sources.log_row import Row, printable

MEMORY_LIMIT = "512MB"
MAX_THREADS = 4
BATCH_ROWS, BATCH_CHARS = 8_192, 2**22
MAX_SHOWN_CONFLICTS = 1_000
HIGHEST_KEY = 2**64 - 1
_SCHEMA = """
CREATE TYPE status AS ENUM ('ok', 'generation_error', 'api_error');
CREATE TABLE requests (
    file USMALLINT, line BIGINT, key UBIGINT, hour UTINYINT, status status,
    version VARCHAR, slice VARCHAR, tokens_in BIGINT, tokens_out BIGINT,
    ttft_ms DOUBLE, latency_ms DOUBLE, prompt_chars INTEGER, fault UTINYINT);
CREATE TABLE texts (
    file USMALLINT, line BIGINT, key UBIGINT, request_id VARCHAR, mark UBIGINT,
    prompt VARCHAR, completion VARCHAR, reference VARCHAR);
"""
# Columns of a batch and of a Parquet file's rows: the same names and types.
INSERT = """
INSERT INTO requests SELECT
    {file}, line, upkeep_key(request_id), hour, status::status, version, slice,
    tokens_in, tokens_out, ttft_ms, latency_ms, length(prompt), {fault} FROM {rows}
"""
MARK = """
hash(hour, status, upkeep_label(version), upkeep_label(slice), tokens_in, tokens_out, ttft_ms,
    latency_ms, prompt, completion, reference)
"""
_MACROS = """
CREATE MACRO upkeep_key(id) AS hash(id);
CREATE MACRO upkeep_label(name) AS
    CASE WHEN regexp_full_match(name, '[ -~]{1,100}') THEN name ELSE upkeep_printable(name) END
"""
_TWICE = """
CREATE OR REPLACE TEMP TABLE twice AS SELECT key FROM requests GROUP BY key HAVING count(*) > 1;
CREATE OR REPLACE TEMP TABLE suspects AS
    SELECT file, line, request_id, mark FROM texts SEMI JOIN twice USING (key)
"""
_FILES_OF_TWICE = "SELECT DISTINCT file FROM requests SEMI JOIN twice USING (key)"
_EXTRA = """
CREATE OR REPLACE TEMP TABLE extra AS SELECT file, line, low <> high AS conflict FROM (
    SELECT file, line, min(mark) OVER same AS low, max(mark) OVER same AS high,
        row_number() OVER (PARTITION BY request_id ORDER BY file, line) AS nth
    FROM suspects WINDOW same AS (PARTITION BY request_id))
WHERE low <> high OR nth > 1;
DELETE FROM requests USING extra
    WHERE requests.file = extra.file AND requests.line = extra.line
"""
_WITH_TEXT = "FROM requests WHERE status = 'ok' AND prompt_chars > 0"
_CHOSEN = f"""
CREATE OR REPLACE TEMP TABLE chosen AS
    SELECT file, line, key, slice {_WITH_TEXT} AND key <= ? ORDER BY key, file, line LIMIT ?
"""
_TEXTS = """
SELECT key, file, line, request_id, upkeep_label(chosen.slice), prompt, completion, reference
FROM (SELECT file, line, request_id, prompt, completion, reference FROM {rows} WHERE {where})
JOIN chosen USING (file, line)
"""


class TextFile(Protocol):
    """A file that is asked again for what the table does not hold."""

    def rows_sql(self) -> str:
        """A query of its rows: ``line`` and the columns of a row; ``fault`` is 0 if good."""


@dataclass(frozen=True)
class Conflicts:
    """Lines of one file that claim the request_id of a different request."""

    file: int
    count: int
    lines: tuple[int, ...]


class LogTable:
    """The table, in a database file of its own under ``folder``."""

    def __init__(self, folder: Path) -> None:
        """Create it."""
        import duckdb

        self.folder, self._again = folder, dict[int, TextFile]()
        self._batch: list[tuple[int, int, Row]] = []
        self._chars = 0
        self._db = duckdb.connect(
            str(folder / "day.duckdb"),
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": str(folder / "spilled"),
                "threads": min(MAX_THREADS, os.cpu_count() or 1),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        self._db.create_function("upkeep_printable", printable, ["VARCHAR"], "VARCHAR")
        # A Parquet file's statistics leave NaN out: DuckDB would drop the check of a range.
        self.execute("SET enable_progress_bar = false")
        self.execute("SET disabled_optimizers = 'statistics_propagation'")
        self.execute(_MACROS)
        self.execute(_SCHEMA)

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database."""
        self._db.close()

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows that a query gives.

        Raises:
            SourceError: there is too little memory or disk.
            duckdb.Error: something else.

        """
        import duckdb

        try:
            return list(self._db.execute(sql, list(parameters)).fetchall())
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            words = str(error).splitlines()[0]
            raise SourceError(f"the day's table in {self.folder}: {words}") from error

    # ------------------------------------------------------------------ rows

    def add(self, file: int, line: int, row: Row) -> None:
        """Add one row that was read as JSON."""
        self._batch.append((file, line, row))
        self._chars += len(row.prompt) + len(row.completion) + len(row.reference)
        if len(self._batch) >= BATCH_ROWS or self._chars >= BATCH_CHARS:
            self.flush()

    def add_file(self, number: int, file: TextFile) -> list[tuple[int, int, list[int]]]:
        """Add all good rows of a file; give (fault, rows, their first lines) of the others."""
        self._again[number] = file
        self.execute(INSERT.format(file=number, rows=f"({file.rows_sql()})", fault="fault"))
        bad = self.execute(
            "SELECT fault, count(*), min(line, ?) FROM requests "
            "WHERE file = ? AND fault <> 0 GROUP BY fault ORDER BY fault",
            (MAX_SHOWN_CONFLICTS, number),
        )
        if bad:
            self.execute("DELETE FROM requests WHERE file = ? AND fault <> 0", (number,))
        return [(fault, count, lines) for fault, count, lines in bad]

    def forget(self, file: int) -> None:
        """Take all rows of a file out again."""
        self.flush()
        self._again.pop(file, None)
        for table in ("requests", "texts"):
            self.execute(f"DELETE FROM {table} WHERE file = ?", (file,))  # noqa: S608 - ours

    def flush(self) -> None:
        """Write what was added so far."""
        if not self._batch:
            return
        import pyarrow as pa

        files, numbers, rows = zip(*self._batch, strict=True)
        columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
        batch = {"file": files, "line": numbers, "request_id": columns.pop("id"), **columns}
        del batch["unknown"]
        self._db.register("batch", pa.table(batch, schema=_batch_schema()))
        self.execute(INSERT.format(file="file", rows="batch", fault=0))
        self.execute(
            f"INSERT INTO texts SELECT file, line, upkeep_key(request_id), request_id, {MARK}, "  # noqa: S608
            "prompt, completion, reference FROM batch"
        )
        self._db.unregister("batch")
        self._batch, self._chars = [], 0

    # ------------------------------------------------------------------ one delivery of each

    def dedupe(self) -> tuple[int, list[Conflicts]]:
        """Keep one of each request; of different requests with one id, none.

        Returns how many rows were delivered again, and the rows of the conflicts by file.
        """
        self.flush()
        self.execute(_TWICE)
        if not self.execute("SELECT 1 FROM twice LIMIT 1"):
            return 0, []
        for (number,) in self.execute(
            "SELECT DISTINCT file FROM requests SEMI JOIN twice USING (key)"
        ):
            if number in self._again:
                self.execute(
                    f"INSERT INTO suspects SELECT {number}, line, request_id, {MARK} "  # noqa: S608
                    f"FROM ({self._again[number].rows_sql()}) "
                    "WHERE fault = 0 AND upkeep_key(request_id) IN (SELECT key FROM twice)"
                )
        self.execute(_EXTRA)
        ((again,),) = self.execute("SELECT count(*) FROM extra WHERE NOT conflict")
        conflicts = self.execute(
            "SELECT file, count(*), min(line, ?) FROM extra WHERE conflict "
            "GROUP BY file ORDER BY file",
            (MAX_SHOWN_CONFLICTS,),
        )
        return again, [Conflicts(file, count, tuple(rows)) for file, count, rows in conflicts]

    # ------------------------------------------------------------------ texts

    def texts(self, most: int) -> list[tuple[str, str, str, str, str]]:
        """(id, slice, prompt, completion, reference) of at most ``most`` requests, best first.

        They are the requests that ended well and have a prompt, whose ids have the smallest
        hashes: bottom-k sampling (Cohen & Kaplan 2007). Texts are read of these only.
        """
        self.flush()
        self.execute(_CHOSEN, (self._about(most), most))
        found = self.execute(_TEXTS.format(rows="texts", where="true"))
        highest = self.execute("SELECT coalesce(max(key), 0) FROM chosen")[0][0]
        for (number,) in self.execute("SELECT DISTINCT file FROM chosen"):
            if number in self._again:  # one by one: each scan holds the pages that it reads
                rows = f"(SELECT {number} AS file, * FROM ({self._again[number].rows_sql()}))"  # noqa: S608
                where = f"upkeep_key(request_id) <= {highest}"
                found += self.execute(_TEXTS.format(rows=rows, where=where))
        return [(row[3], *row[4:]) for row in sorted(found, key=itemgetter(0, 1, 2))]

    def _about(self, most: int) -> int:
        """A hash below which at least ``most`` requests with texts lie: fewer are sorted so."""
        ((offered,),) = self.execute(f"SELECT count(*) {_WITH_TEXT}")
        guess = min(HIGHEST_KEY, HIGHEST_KEY * most * 5 // 4 // max(offered, 1))
        ((found,),) = self.execute(f"SELECT count(*) {_WITH_TEXT} AND key <= ?", (guess,))
        return guess if found >= min(most, offered) else HIGHEST_KEY


def _batch_schema() -> Any:
    import pyarrow as pa

    text, count, number = pa.string(), pa.int64(), pa.float64()
    return pa.schema(
        [
            *(("file", pa.uint16()), ("line", count), ("request_id", text)),
            *(("hour", pa.uint8()), ("status", text), ("version", text), ("slice", text)),
            *(("tokens_in", count), ("tokens_out", count)),
            *(("ttft_ms", number), ("latency_ms", number)),
            *(("prompt", text), ("completion", text), ("reference", text)),
        ]
    )
