"""Rows are read strictly; what is refused says why, without a word of what the row says."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.request_logs import log_row
from upkeep.sources.log_row import MAX_NAME_CHARS, BadRow, parse_row, printable, read_json

DAY = date(2026, 3, 5)
DROP = object()
SECRET = "hunter2"


def line(**fields: Any) -> bytes:
    """Give one row as the writer puts it; a field set to ``DROP`` is left out."""
    row = log_row(DAY, 7, 1, **fields)
    return json.dumps({name: value for name, value in row.items() if value is not DROP}).encode()


def text_line(field: str, value: str) -> bytes:
    """Give one row with ``value`` put in as raw JSON text."""
    return line(**{field: "@@"}).replace(b'"@@"', value.encode())


REFUSED_VALUES = [
    ("A1-nan-literal", text_line("latency_ms", "NaN"), "holds NaN or Infinity"),
    ("A2-infinity-literal", text_line("latency_ms", "Infinity"), "holds NaN or Infinity"),
    ("A2-minus-infinity-literal", text_line("ttft_ms", "-Infinity"), "holds NaN or Infinity"),
    ("A2-overflowing-float", text_line("latency_ms", "1e999"), "holds a number too large"),
    ("A3-negative-latency", line(latency_ms=-0.1), "has a latency_ms that is not a number of 0"),
    ("A3-negative-ttft", line(ttft_ms=-1), "has a ttft_ms that is not"),
    ("A3-negative-latency-of-an-error", line(status="api_error", latency_ms=-1), "latency_ms"),
    ("A4-negative-tokens", line(tokens_out=-1), "has tokens_out that are not a whole number"),
    ("A6-nanoseconds", line(latency_ms=2.5e8), "has a latency_ms that is not"),
    ("A17-a-nanosecond-early", line(time="2026-03-04T23:59:59.999999999Z"), "lies outside its day"),
    ("A17-next-midnight", line(time="2026-03-06T00:00:00Z"), "lies outside its day"),
    ("A19-epoch-seconds", line(time=1772697600), "has a time that is not text"),
    ("A19-epoch-text", line(time="1772697600"), "has a time that is not RFC 3339 in UTC"),
    ("A19-year-1970", line(time="1970-01-21T12:24:57Z"), "lies outside its day"),
    ("A19-year-58000", line(time="58144-01-01T00:00:00Z"), "has a time that is not RFC 3339"),
    ("A25-no-offset", line(time="2026-03-05T02:30:00"), "has a time that is not RFC 3339 in UTC"),
    ("A25-other-offset", line(time="2026-03-05T02:30:00+01:00"), "has a time that is not"),
    ("A25-no-such-hour", line(time="2026-03-05T24:00:00Z"), "has a time that is not"),
    ("A25-trailing-newline", line(time="2026-03-05T02:30:00Z\n"), "has a time that is not"),
    ("A25-arabic-digits", line(time="2026-03-05T0٢:30:00Z"), "has a time that is not"),
    ("A26-leap-second-at-noon", line(time="2026-03-05T12:00:60Z"), "has a time that is not"),
    ("A40-number-as-text", line(latency_ms="12"), "has a latency_ms that is not a number"),
    ("A40-underscore", line(tokens_in="1_000"), "has tokens_in that are not a whole number"),
    ("A40-arabic-digits", line(tokens_in="١٢"), "has tokens_in that are not"),
    ("A40-thousands-comma", line(latency_ms="1,234"), "has a latency_ms that is not"),
    ("B19-400-digits", text_line("tokens_in", "9" * 400), "number of more than 18 digits"),
    ("B19-5000-digits", text_line("tokens_in", "9" * 5000), "number of more than 18 digits"),
    ("B19-in-an-unknown-field", text_line("extra", "9" * 5000), "number of more than 18 digits"),
    ("B20-nan-in-an-unknown-field", text_line("extra", "NaN"), "holds NaN or Infinity"),
    ("B21-key-twice", line()[:-1] + b', "latency_ms": 1}', "names a key twice"),
    ("B21-key-twice-escaped", line()[:-1] + b', "latenc\\u0079_ms": 1}', "names a key twice"),
    ("B21-key-twice-inside", text_line("extra", '{"a":1,"a":2}'), "names a key twice"),
    ("B22-boolean", line(tokens_in=True), "has tokens_in that are not a whole number"),
    ("B22-float-count", line(tokens_in=8.0), "has tokens_in that are not a whole number"),
    ("B22-object", line(latency_ms={}), "has a latency_ms that is not a number"),
    ("B22-null", line(latency_ms=None), "has no latency_ms"),
    ("B22-status-list", line(status=["ok"]), "has a status that is not text"),
    ("B22-version-number", line(model_version=1), "has a model_version that is not text"),
    ("B22-prompt-list", line(prompt=[SECRET]), "has a prompt that is not text"),
    ("B22-slice-number", line(client=7), "has a client that is not text"),
    ("B22-unknown-status", line(status=SECRET), "has a status that is not one of ok"),
    ("B22-array-row", b"[1, 2]", "is not a JSON object"),
    ("B22-number-row", b"17", "is not a JSON object"),
    ("B23-column-gone", line(latency_ms=DROP), "has no latency_ms"),
    ("B26-no-request-id", line(request_id=DROP), "has no request_id"),
    ("B26-empty-request-id", line(request_id=""), "has an empty request_id"),
    ("B28-endless-request-id", line(request_id="x" * 257), "has a request_id of more than 256"),
]
REFUSED_TEXT = [
    ("B10-not-json", b"}{", "is not JSON"),
    ("B10-single-quotes", b"{'status': 'ok'}", "is not JSON"),
    ("B10-two-rows-in-one-line", line() + line(), "is not JSON"),
    ("B12-half-a-line", line()[:-20], "is not JSON"),
    ("B14-nul-bytes", line() + b"\0\0\0", "holds NUL bytes"),
    ("B14-raw-control-character", text_line("prompt", '"a\x01b"'), "is not JSON"),
    ("B15-latin-1", text_line("prompt", '"ZZ"').replace(b"ZZ", b"\xe9"), "is not UTF-8"),
    ("B15-raw-surrogate", text_line("prompt", '"ZZ"').replace(b"ZZ", b"\xed\xa0\x80"), "not UTF-8"),
    ("B18-nested-100000-deep", b"[" * 100_000, "is nested too deep"),
    (
        "B18-nested-in-a-row",
        text_line("extra", '{"a":' * 100_000 + "1" + "}" * 100_000),
        "too deep",
    ),
]


def cases(table: list[tuple[str, bytes, str]]) -> pytest.MarkDecorator:
    """One test a row of the table, with the case's id in its name."""
    return pytest.mark.parametrize(
        ("raw", "reason"), [pytest.param(r, w, id=i) for i, r, w in table]
    )


@cases(REFUSED_VALUES)
def test_a_row_of_wrong_values_is_refused_as_json_that_says_too_little(
    raw: bytes, reason: str
) -> None:
    """The line is whole JSON, so its file is not broken; the row is refused with the reason."""
    with pytest.raises(BadRow) as refused:
        parse_row(raw, DAY, "client")
    assert reason in refused.value.reason
    assert refused.value.parses
    assert SECRET not in refused.value.reason


@cases(REFUSED_TEXT)
def test_a_line_that_is_no_json_text_says_that_its_file_is_broken(raw: bytes, reason: str) -> None:
    """A line that cannot be read is told from a row whose values are wrong."""
    with pytest.raises(BadRow) as refused:
        parse_row(raw, DAY, "client")
    assert reason in refused.value.reason
    assert not refused.value.parses


ACCEPTED = [
    ("A17-first-nanosecond", line(time="2026-03-05T00:00:00Z"), "hour", 0),
    ("A17-last-nanosecond", line(time="2026-03-05T23:59:59.999999999Z"), "hour", 23),
    ("A26-leap-second", line(time="2026-03-05T23:59:60Z"), "hour", 23),
    ("A29-control-characters", line(client="a\x1b[31m\nb"), "slice", "a\\x1b[31m\\nb"),
    ("A29-path", line(client="../../etc"), "slice", "../../etc"),
    ("A29-html", line(client="<script>"), "slice", "<script>"),
    ("B17-lone-surrogate", text_line("prompt", r'"a\ud800b"'), "prompt", "a?b"),
    ("B17-lone-surrogate-in-an-id", text_line("request_id", r'"\udfff1"'), "id", "?1"),
    (
        "B17-pair-of-surrogates",
        text_line("prompt", r'"\ud83d\ude00"'),
        "prompt",
        "\N{GRINNING FACE}",
    ),
    ("B22-whole-number-latency", line(latency_ms=3), "latency_ms", 3.0),
    ("B24-unknown-fields", line(b=1, a={"c": []}), "unknown", ("a", "b")),
    ("no-slice", line(client=DROP), "slice", "all"),
    ("null-slice", line(client=None), "slice", "all"),
    ("empty-slice", line(client=""), "slice", "all"),
    ("no-reference", line(), "reference", ""),
    ("minus-zero", text_line("latency_ms", "-0.0"), "latency_ms", 0.0),
    ("error-without-latency", line(status="api_error", latency_ms=None), "latency_ms", None),
    ("error-without-tokens", line(status="generation_error", tokens_out=DROP), "tokens_out", None),
    ("crlf", line() + b"\r\n", "version", "1"),
]


@pytest.mark.parametrize(
    ("raw", "field", "value"), [pytest.param(r, f, v, id=i) for i, r, f, v in ACCEPTED]
)
def test_an_odd_but_valid_row_is_read(raw: bytes, field: str, value: object) -> None:
    """What the format allows is read, and comes out clean."""
    row = parse_row(raw, DAY, "client")
    assert getattr(row, field) == value
    assert str(getattr(row, field)) == str(value)  # 0.0 is not -0.0


def test_the_slice_is_the_field_that_the_model_names() -> None:
    """Any field of the row can be the slice, and is known then."""
    row = parse_row(line(region="eu"), DAY, "region")
    assert (row.slice, row.unknown) == ("eu", ())


def test_a_name_of_a_megabyte_is_cut_and_stays_apart_from_others() -> None:
    """Names from outside have a bounded length, and two long ones do not become one."""
    first, second = printable("x" * 2**20), printable("x" * 2**20 + "y")
    assert len(first) == len(second) == MAX_NAME_CHARS
    assert first != second


@given(st.text())
def test_a_printable_name_can_be_shown_and_stored_anywhere(name: str) -> None:
    """No control character, no lone surrogate, bounded length."""
    shown = printable(name)
    assert shown.isprintable()
    assert len(shown) <= MAX_NAME_CHARS
    assert shown.encode().decode() == shown


@given(st.binary(max_size=200))
def test_any_bytes_are_a_row_or_a_bad_row(raw: bytes) -> None:
    """Nothing but BadRow ever comes out of a line."""
    with pytest.raises(BadRow):
        parse_row(raw, DAY, "client")


@given(st.data())
def test_one_damaged_byte_gives_a_row_or_a_bad_row(data: st.DataObject) -> None:
    """A flipped byte of a valid row never raises anything else, nor gives wild numbers."""
    raw = bytearray(line())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        row = parse_row(bytes(raw), DAY, "client")
    except BadRow:
        return
    assert row.latency_ms is not None
    assert 0 <= row.latency_ms <= 86_400_000
    assert 0 <= row.hour <= 23


def test_json_is_read_like_the_standard_library_where_both_accept() -> None:
    """The strict reader changes no value."""
    raw = b'{"a": [1, -2.5e3, true, null, "\\u00e9"], "b": {}}'
    assert read_json(raw) == json.loads(raw)


def test_the_digest_tells_different_requests_from_one_delivered_twice() -> None:
    """Key order and spaces do not matter, a value does."""
    row = parse_row(line(), DAY, "client")
    again = json.dumps(dict(reversed(json.loads(line()).items())), indent=0).replace("\n", "")
    assert parse_row(again.encode(), DAY, "client").digest() == row.digest()
    assert parse_row(line(latency_ms=999), DAY, "client").digest() != row.digest()
