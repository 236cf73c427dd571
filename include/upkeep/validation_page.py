"""A day's validation as one HTML file, like Great Expectations' Data Docs. Pure.

It needs nothing else, has no script, and everything in it is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from upkeep.errors import shown

Json = Mapping[str, Any]

FRAMES = ("day", "hours", "measures")
MAX_SEEN = 8
NO_OPERANDS = {"row_condition", "condition_parser", "ignore_row_if", "or_equal"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
STYLE = """
:root{color-scheme:light}
body{font:14px/1.45 system-ui,sans-serif;color:#1f2933;background:#f5f7fa;margin:0}
main{max-width:1120px;margin:0 auto;padding:24px}
h1{font-size:20px;margin:0} h2{font-size:15px;margin:28px 0 8px}
.sub,.foot{color:#52606d;font-size:12px;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;background:#fff;border:1px solid #e4e7eb}
th,td{text-align:left;padding:5px 9px;border-top:1px solid #e4e7eb;vertical-align:top;
overflow-wrap:anywhere}
th{font-size:12px;color:#52606d;font-weight:600;border-top:0}
.passed{color:#2f7d4f} .failed{color:#c2410c;font-weight:700}
"""


def html(document: bytes) -> bytes:
    """The page of a stored result (what ``validate`` gave), UTF-8."""
    found = _parsed(document)
    body = "".join(
        part for section in (_head, _checks, _expectations, _foot) for part in section(found)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{_text(_title(found))}</title>'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    ).encode("utf-8", "replace")


def _parsed(document: bytes) -> Json:
    found = json.loads(document)
    return found if isinstance(found, dict) else {}


def _title(found: Json) -> str:
    verdict = found.get("verdict", {})
    return f"Validation of {verdict.get('model', 'a model')}, {verdict.get('day', 'a day')}"


def _head(found: Json) -> Iterator[str]:
    verdict = found.get("verdict", {})
    trusted = bool(verdict.get("trusted"))
    results = [r for _, r in _results(found)]
    well = sum(r.get("success") is True for r in results)
    yield f"<h1>{_text(_title(found))}</h1>"
    yield (
        f'<p class="{"passed" if trusted else "failed"}">'
        f"{'The data can be trusted' if trusted else 'The data cannot be trusted'}: "
        f"{well} of {len(results)} expectations of suite {_text(found.get('suite'))} are met.</p>"
    )


def _checks(found: Json) -> Iterator[str]:
    findings = found.get("verdict", {}).get("findings", ())
    rows = [
        (
            *(_text(f["check"]), _met(met=f["passed"])),
            _text("" if f["passed"] else f["severity"]),
            *(_text(f["observed"]), _text(f["rule"]), _text(f["words"])),
        )
        for f in sorted(findings, key=lambda f: bool(f["passed"]))
    ]
    yield from _table("Checks", ("Check", "Passed", "Else", "Seen", "Rule", "In words"), rows)


def _expectations(found: Json) -> Iterator[str]:
    for frame in FRAMES:
        results = [r for name, r in _results(found) if name == frame]
        rows = [
            (
                _text(r["expectation_config"]["meta"]["check"]),
                *(_text(_expected(r["expectation_config"])), _text(_observed(r))),
                _met(met=r["success"] is True),
            )
            for r in results
        ]
        head = ("Check", "Expectation", "Observed", "Passed")
        yield from _table(f"Expectations of the frame {frame}", head, rows)


def _results(found: Json) -> Iterator[tuple[str, Json]]:
    for frame in FRAMES:
        yield from ((frame, r) for r in found.get(frame, {}).get("results", ()))


def _expected(config: Json) -> str:
    """An expectation in words: its name, its columns and limits, and when it holds."""
    kwargs = config["kwargs"]
    operands = (
        f"{name} {value}"
        for name, value in kwargs.items()
        if name not in NO_OPERANDS and value is not None
    )
    condition = kwargs.get("row_condition")
    when = f", where {_condition(condition)}" if condition else ""
    return f"{config['type'].replace('_', ' ')}: {', '.join(operands)}{when}"


def _condition(condition: Any) -> str:
    if not isinstance(condition, dict):
        return str(condition)
    column = condition.get("column", {}).get("name")
    return f"{column} {condition.get('operator')} {condition.get('parameter')}"


def _observed(result: Json) -> str:
    """What was seen: why it could not be computed, a number, or the values that are not met."""
    seen = result.get("result", {})
    if result.get("exception"):
        return f"could not be computed: {result['exception']}"
    if "observed_value" in seen:
        return str(seen["observed_value"])
    unmet = list(seen.get("partial_unexpected_list") or ())
    checked, empty = seen.get("element_count", 0), seen.get("missing_count") or 0
    words = f"{checked} values, {empty} unknown, {seen.get('unexpected_count', 0)} unmet"
    more = "…" if len(unmet) > MAX_SEEN else ""
    return words + (f": {', '.join(map(shown, unmet[:MAX_SEEN]))}{more}" if unmet else "")


def _foot(found: Json) -> Iterator[str]:
    yield (
        f'<p class="foot">suite {_text(found.get("suite"))}, SHA-256 '
        f"{_text(found.get('suite_sha256'))} · Great Expectations "
        f"{_text(found.get('great_expectations_version'))}</p>"
    )


def _met(*, met: bool) -> str:
    return f'<span class="{"passed" if met else "failed"}">{"yes" if met else "no"}</span>'


def _text(value: Any) -> str:
    """Text for HTML: without control characters, which no browser shows as they are."""
    return escape("not known" if value is None else _CONTROL.sub(" ", str(value)))


def _table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """A table of cells that are HTML already; no rows: nothing."""
    if rows:
        names = "".join(f"<th>{escape(name)}</th>" for name in head)
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        yield f"<h2>{escape(title)}</h2><table><thead><tr>{names}</tr></thead>"
        yield f"<tbody>{body}</tbody></table>"
