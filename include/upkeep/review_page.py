"""A review as people read it: Markdown, rows, and its run in MLflow. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from upkeep.projection import DAY_MS, day_start_ms, finite, source
from upkeep.records import Review, ReviewFinding, Severity
from upkeep.review_text import inert
from upkeep.tracking_runs import RunView

KIND = "review"
TABLE = "review.json"
MAX_NOTE_CHARS = 4_500
COLUMNS = ("area", "severity", "rule", "what", "evidence", "expected gain", "action")


def headline(review: Review) -> str:
    """``2 warnings, 1 advice, 7 notes``; what was not looked at is counted too."""
    counts = Counter(finding.severity for finding in review.findings)
    told = [f"{n} {_plural(s, n)}" for s in reversed(get_args(Severity)) if (n := counts[s])]
    missing = len(review.uninspected)
    return ", ".join([*told, *([f"{missing} not inspected"] if missing else [])]) or "nothing"


def _plural(severity: Severity, n: int) -> str:
    return severity if n == 1 or severity == "advice" else f"{severity}s"


def rows(review: Review) -> list[dict[str, str]]:
    """One row a finding, the gravest first, then what was not looked at."""
    order = tuple(reversed(get_args(Severity)))
    found = sorted(review.findings, key=lambda finding: order.index(finding.severity))
    told = [dict(zip(COLUMNS, _cells(finding), strict=True)) for finding in found]
    unknown = [
        dict(zip(COLUMNS, (u.area, "not inspected", "", u.what, "", "", u.words), strict=True))
        for u in review.uninspected
    ]
    return [*told, *unknown]


def _cells(finding: ReviewFinding) -> tuple[str, ...]:
    numbers = ", ".join(f"{name} {_value(value)}" for name, value in finding.evidence.items())
    return (
        *(finding.area, finding.severity, finding.rule, finding.what, numbers),
        *(finding.expected_gain, what_to_do(finding)),
    )


def what_to_do(finding: ReviewFinding) -> str:
    """The action, or why there is none."""
    return finding.action or f"no action, because {finding.no_action_because}"


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def note(review: Review) -> str:
    """Markdown for MLflow: what is above a note in full, the notes in a line each."""
    parts = [f"### Review of version {inert(review.model_version)}: {headline(review)}"]
    for severity in ("warning", "advice"):
        parts += [_told(finding) for finding in review.of(severity)]
    parts += [
        f"**{unknown.area}: {inert(unknown.what)} not inspected**: {inert(unknown.words)}"
        for unknown in review.uninspected
    ]
    parts += [f"- {f.area}: {inert(f.what)}" for f in review.of("note")]
    return _whole(parts)


def _told(finding: ReviewFinding) -> str:
    return (
        f"**{finding.severity}, {finding.area}**: {inert(finding.what)}. "
        f"*Expected gain*: {inert(finding.expected_gain)}. *To do*: {inert(what_to_do(finding))}."
    )


def _whole(parts: Sequence[str]) -> str:
    """As many parts as fit, none of them cut in the middle."""
    kept: list[str] = []
    for part in parts:
        if sum(map(len, kept)) + len(part) + 2 * len(kept) <= MAX_NOTE_CHARS:
            kept.append(part)
    return "\n\n".join(kept)


def table(review: Review) -> bytes:
    """The findings in the form that MLflow shows as a table."""
    data = [list(row.values()) for row in rows(review)]
    return json.dumps({"columns": list(COLUMNS), "data": data}, allow_nan=False).encode()


def review_view(review: Review, record: bytes) -> RunView:
    """The nested run of a day's review; ``record`` are its stored bytes."""
    start = day_start_ms(review.day)
    shown = json.dumps([{"path": TABLE, "type": "table"}])
    return RunView(
        key=f"{review.model}/{review.day.isoformat()}/{KIND}",
        name=f"{review.day.isoformat()} {KIND}",
        start_ms=start,
        end_ms=start + DAY_MS,
        params={"kind": KIND, "version": review.model_version},
        tags={
            "upkeep.kind": KIND,
            "upkeep.model": review.model,
            "upkeep.day": review.day.isoformat(),
            "upkeep.outcome": headline(review),
            "mlflow.loggedArtifacts": shown,
            "mlflow.note.content": note(review),
            **source(KIND),
        },
        metrics=_metrics(review),
        at_ms=start,
        files={TABLE: table(review), f"records/{KIND}.json": record},
    )


def _metrics(review: Review) -> dict[str, float]:
    counts = {f"review/{s}": float(len(review.of(s))) for s in get_args(Severity)}
    counts["review/uninspected"] = float(len(review.uninspected))
    return finite(counts)
