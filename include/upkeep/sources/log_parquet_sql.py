"""The rows of a Parquet file as a query: checked in SQL as ``log_row`` checks JSON. Pure.

Each check is the reason in words, in ``log_row``'s words, and the condition of a row that has
the fault; the first that holds is the row's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

from upkeep.sources.log_row import FIELDS, MAX_ID_CHARS, MAX_LATENCY_MS, MAX_TOKENS, STATUSES

Kind = Literal["text", "count", "number", "instant", "instant_ns"]
ROW_NUMBER = "file_row_number"
COUNTS, DURATIONS = ("tokens_in", "tokens_out"), ("ttft_ms", "latency_ms")
TEXTS = ("prompt", "completion", "reference")
NEEDED = FIELDS - {"client", "ttft_ms", *TEXTS}
_HOUR_US = 3_600_000_000
_STATUSES = "(" + ", ".join(f"'{status}'" for status in STATUSES) + ")"
_TIME = (
    "[0-9]{4}-[0-9]{2}-[0-9]{2}T(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]|23:59:60)"
    r"(\.[0-9]{1,9})?(Z|\+00:00)"
)


@dataclass(frozen=True)
class ParquetRows:
    """What the file has: its known columns and their kinds; the others are NULL."""

    columns: Mapping[str, Kind]
    day: date
    slice_field: str

    def sql(self, path: str) -> str:
        """The query; ``path`` is of our own choosing. ``fault`` numbers the reasons from 1."""
        faults = " ".join(f"WHEN {sql} THEN {n}" for n, (_, sql) in enumerate(self._faults(), 1))
        tokens = ", ".join(f"try_cast({self._column(c)} AS BIGINT) AS {c}" for c in COUNTS)
        times = ", ".join(f"abs(try_cast({self._column(c)} AS DOUBLE)) AS {c}" for c in DURATIONS)
        texts = ", ".join(f"coalesce({self._column(c)}, '') AS {c}" for c in TEXTS)
        path = path.replace("'", "''")
        status, slice_ = self._column("status"), self._column(self.slice_field)
        return f"""
            SELECT {ROW_NUMBER} + 1 AS line, {self._column("request_id")} AS request_id,
                ({self._hour()})::UTINYINT AS hour,
                CASE WHEN {status} IN {_STATUSES} THEN {status} END AS status,
                {self._column("model_version")} AS version,
                coalesce(nullif({slice_}, ''), 'all') AS slice,
                {tokens}, {times}, {texts}, (CASE {faults} ELSE 0 END)::UTINYINT AS fault
            FROM read_parquet('{path}', {ROW_NUMBER} = true, hive_partitioning = false)
        """  # noqa: S608 - our names, a path of our own

    def reasons(self) -> list[str]:
        """The reason of each fault, the first of which has the number 1."""
        return [reason for reason, _ in self._faults()]

    def _faults(self) -> Iterator[tuple[str, str]]:
        yield from self._text_faults("status")
        status = self._column("status")
        yield (
            f"has a status that is not one of {', '.join(STATUSES)}",
            f"{status} NOT IN {_STATUSES}",
        )
        yield from self._text_faults("request_id")
        identifier = self._column("request_id")
        yield (
            f"has a request_id of more than {MAX_ID_CHARS} characters",
            f"strlen({identifier}) > {MAX_ID_CHARS} AND length({identifier}) > {MAX_ID_CHARS}",
        )
        yield from self._time_faults()
        yield from self._text_faults("model_version")
        for name in COUNTS:
            yield from self._number_faults(
                name, MAX_TOKENS, f"has {name} that are not a whole number of 0 to {MAX_TOKENS}"
            )
        for name in DURATIONS:
            yield from self._number_faults(
                name, MAX_LATENCY_MS, f"has a {name} that is not a number of 0 to {MAX_LATENCY_MS}"
            )

    def _text_faults(self, name: str) -> Iterator[tuple[str, str]]:
        column = self._column(name)
        yield f"has no {name}", f"{column} IS NULL"
        yield f"has an empty {name}", f"{column} = ''"

    def _number_faults(self, name: str, most: int, reason: str) -> Iterator[tuple[str, str]]:
        column, status = self._column(name), self._column("status")
        if name in NEEDED:
            yield f"has no {name}", f"{column} IS NULL AND {status} = 'ok'"
        yield reason, f"NOT ({column} BETWEEN 0 AND {most})"  # NaN is above every number

    def _time_faults(self) -> Iterator[tuple[str, str]]:
        column = self._column("time")
        yield "has no time", f"{column} IS NULL"
        if self._time_is_text:
            yield (
                "has a time that is not RFC 3339 in UTC, like 2026-03-01T09:30:00.125Z",
                f"NOT regexp_full_match({column}, '{_TIME}')",
            )
        yield "lies outside its day", f"NOT ({self._inside()})"

    @property
    def _time_is_text(self) -> bool:
        return self.columns.get("time", "text") == "text"

    @property
    def _start_s(self) -> int:
        return int(datetime.combine(self.day, time(), UTC).timestamp())

    def _inside(self) -> str:
        """Whether the time is of the day, to the last digit of its unit.

        Nanoseconds are compared as whole numbers: DuckDB rounds them to microseconds in a cast,
        which would move a row over the edge of its day.
        """
        column, start, end = self._column("time"), self._start_s, self._start_s + 86_400
        if self._time_is_text:
            return f"{column} LIKE '{self.day.isoformat()}T%'"
        if self.columns["time"] == "instant_ns":
            return f"epoch_ns({column}) >= {start}000000000 AND epoch_ns({column}) < {end}000000000"
        return f"{column} >= to_timestamp({start}) AND {column} < to_timestamp({end})"

    def _hour(self) -> str:
        column = self._column("time")
        if self._time_is_text:
            return f"try_cast({column}[12:13] AS UTINYINT)"
        ns = self.columns["time"] == "instant_ns"
        since = f"epoch_ns({column}) // 1000" if ns else f"epoch_us({column})"
        hour = f"({since} - {self._start_s}000000) // {_HOUR_US}"
        return f"CASE WHEN {self._inside()} THEN {hour} END"

    def _column(self, name: str) -> str:
        if name in self.columns:
            return '"' + name.replace('"', '""') + '"'
        return "NULL::BIGINT" if name in COUNTS + DURATIONS else "NULL::VARCHAR"
