"""One row of a request log, read strictly: what is odd is refused with a reason, never repaired.

Every reason is a phrase that goes on after the row's place ("03.jsonl line 7 has no time"), and
holds nothing that a row says: prompts and keys of users never reach a message.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, NoReturn, cast

Status = Literal["ok", "generation_error", "api_error"]

MAX_LATENCY_MS = 86_400_000  # a day
MAX_TOKENS = 2**31
MAX_ID_CHARS = 256
MAX_NAME_CHARS = 100
MAX_DIGITS = 18
FIELDS = frozenset(
    {
        *("request_id", "time", "model_version", "client", "status"),
        *("tokens_in", "tokens_out", "ttft_ms", "latency_ms"),
        *("prompt", "completion", "reference"),
    }
)
STATUSES = ("ok", "generation_error", "api_error")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)"
    r"(?:\.[0-9]{1,9})?(?:Z|\+00:00)"
)


class BadRow(ValueError):
    """A row that is set aside; ``parses`` is False where the line is not even JSON text.

    ``unknown`` names its fields that a row does not have: where a column was renamed, the
    reason says what is missing and these say what came instead.
    """

    def __init__(self, reason: str, *, parses: bool = True) -> None:
        """Say why, as a phrase."""
        super().__init__(reason)
        self.reason, self.parses = reason, parses
        self.unknown: tuple[str, ...] = ()


class Row(NamedTuple):
    """One request. Numbers are None where a failed request has none; texts are clean UTF-8."""

    id: str
    hour: int
    status: Status
    version: str
    slice: str
    tokens_in: int | None
    tokens_out: int | None
    ttft_ms: float | None
    latency_ms: float | None
    prompt: str
    completion: str
    reference: str
    unknown: tuple[str, ...]

    def digest(self) -> bytes:
        """16 bytes that tell two deliveries of one request from two different requests."""
        return blake2b(repr(tuple(self)).encode(), digest_size=16).digest()


def read_json(data: bytes) -> Any:
    """JSON as RFC 8259 has it, without its loopholes.

    Raises:
        BadRow: not UTF-8, NUL bytes, no JSON, nested too deep, a key twice, NaN or Infinity, an
            integer of more than 18 digits.

    """
    if b"\0" in data:
        raise BadRow("holds NUL bytes", parses=False)
    try:
        return _decoder.decode(data.decode("utf-8"))
    except BadRow:
        raise
    except UnicodeDecodeError:
        raise BadRow("is not UTF-8", parses=False) from None
    except RecursionError:
        raise BadRow("is nested too deep", parses=False) from None
    except ValueError:
        raise BadRow("is not JSON", parses=False) from None


def parse_row(line: bytes, day: date, slice_field: str) -> Row:
    """Read one line as a request of the UTC ``day``.

    Raises:
        BadRow: with the reason, for everything that is not exactly a row of that day.

    """
    fields = read_json(line)
    if not isinstance(fields, dict):
        raise BadRow("is not a JSON object")
    unknown = tuple(sorted(printable(k) for k in fields.keys() - FIELDS - {slice_field}))
    try:
        return _row(fields, day, slice_field, unknown)
    except BadRow as bad:
        bad.unknown = unknown
        raise


def _row(fields: dict[str, Any], day: date, slice_field: str, unknown: tuple[str, ...]) -> Row:
    status = _text(fields, "status")
    if status not in STATUSES:
        raise BadRow(f"has a status that is not one of {', '.join(STATUSES)}")
    ok = status == "ok"
    return Row(
        id=_identifier(fields),
        hour=_hour(fields, day),
        status=cast("Status", status),
        version=printable(_text(fields, "model_version")),
        slice=printable(_optional_text(fields, slice_field) or "all"),
        tokens_in=_count(fields, "tokens_in", needed=ok),
        tokens_out=_count(fields, "tokens_out", needed=ok),
        ttft_ms=_duration(fields, "ttft_ms", needed=False),
        latency_ms=_duration(fields, "latency_ms", needed=ok),
        prompt=_optional_text(fields, "prompt"),
        completion=_optional_text(fields, "completion"),
        reference=_optional_text(fields, "reference"),
        unknown=unknown,
    )


def printable(name: str) -> str:
    """A name from outside as records and pages may hold it.

    Control characters are escaped as ``repr`` does; more than 100 characters are cut, and what
    was cut is told apart by 8 digits of a hash.
    """
    if len(name) <= MAX_NAME_CHARS and name.isprintable():
        return name
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    if len(shown) <= MAX_NAME_CHARS:
        return shown
    mark = blake2b(shown.encode(), digest_size=4).hexdigest()
    return f"{shown[: MAX_NAME_CHARS - 9]}…{mark}"


def _hour(fields: dict[str, Any], day: date) -> int:
    """The UTC hour, compared as text: no rounding moves a row over the edge of its day."""
    time = _TIME.fullmatch(_text(fields, "time"))
    if time is None or (time[4] == "60" and (time[2], time[3]) != ("23", "59")):
        raise BadRow("has a time that is not RFC 3339 in UTC, like 2026-03-01T09:30:00.125Z")
    if time[1] != day.isoformat():
        raise BadRow("lies outside its day")
    return int(time[2])


def _identifier(fields: dict[str, Any]) -> str:
    value = _text(fields, "request_id")
    if len(value) > MAX_ID_CHARS:
        raise BadRow(f"has a request_id of more than {MAX_ID_CHARS} characters")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    if fields.get(name) is None:
        raise BadRow(f"has no {name}")
    value = _optional_text(fields, name)
    if not value:
        raise BadRow(f"has an empty {name}")
    return value


def _optional_text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRow(f"has a {name} that is not text")
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _count(fields: dict[str, Any], name: str, *, needed: bool) -> int | None:
    value = fields.get(name)
    if value is None and not needed:
        return None
    if value is None:
        raise BadRow(f"has no {name}")
    if type(value) is not int or not 0 <= value <= MAX_TOKENS:
        raise BadRow(f"has {name} that are not a whole number of 0 to {MAX_TOKENS}")
    return value


def _duration(fields: dict[str, Any], name: str, *, needed: bool) -> float | None:
    value = fields.get(name)
    if value is None and not needed:
        return None
    if value is None:
        raise BadRow(f"has no {name}")
    if type(value) not in (int, float) or not 0 <= value <= MAX_LATENCY_MS:
        raise BadRow(f"has a {name} that is not a number of 0 to {MAX_LATENCY_MS}")
    return abs(float(value))  # -0.0 is 0.0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadRow("names a key twice")
    return fields


def _no_constant(_: str) -> NoReturn:
    raise BadRow("holds NaN or Infinity, which are not numbers of JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise BadRow(f"holds a number of more than {MAX_DIGITS} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadRow("holds a number too large to read")
    return value


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer, parse_float=_float
)
