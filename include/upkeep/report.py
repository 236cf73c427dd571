"""The day in words: the note of its MLflow run, and the page with its plots. Pure.

Whatever came from outside (slice names, file names, notes of people) is escaped for where it
stands; equal records give equal bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from upkeep import validation_page
from upkeep.day_records import DayRecords, JobRecords, Page
from upkeep.projection import outcome_of
from upkeep.records import DriftResult, LateChange
from upkeep.report_chart import svg
from upkeep.report_front import front_svg
from upkeep.report_page import html, series_of
from upkeep.report_words import (
    by_urgency,
    change,
    effect_words,
    label,
    measured,
    number,
    state_of,
    tolerance,
)
from upkeep.review_page import headline

FRONT = "plots/pareto.svg"
VALIDATION_PAGE = "great-expectations.html"
MAX_NOTE_CHARS = 4_500
MAX_WORDS_CHARS = 400
MAX_ROWS = 12
MOST_DRIFTED = 3
_MARKDOWN = re.compile(r"([\\`*\[\]|#~])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def present(records: DayRecords) -> Page:
    """The notes and the files that people read about a day."""
    files = {f"plots/{name}.svg": svg(series).encode() for name, series in series_of(records)}
    if records.gx_document is not None:
        files[VALIDATION_PAGE] = validation_page.html(records.gx_document)
    return Page(
        note=note(records),
        job_notes={job.kind: job_note(job) for job in records.jobs},
        files={"report.html": html(records), **files},
        job_files={
            job.kind: {FRONT: picture.encode()}
            for job in records.jobs
            if (picture := front_svg(job))
        },
    )


def plain(text: str) -> str:
    """Text from outside, for Markdown: one line, no markup, no HTML, no link, not endless."""
    line = _CONTROL.sub(" ", text).strip()
    line = line if len(line) <= MAX_WORDS_CHARS else line[: MAX_WORDS_CHARS - 1] + "…"
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", line).replace("://", ":&#8203;//")


def note(records: DayRecords) -> str:
    """The day's note in Markdown: what was decided, why, with numbers, and what came of it."""
    parts = [*_headline(records), *_outcomes(records), *_why(records), *_drifts(records)]
    parts += [*_data(records), *_context(records)]
    return _whole_parts(parts)


def _whole_parts(parts: Iterable[str]) -> str:
    """As many parts as fit, none of them cut in the middle."""
    kept: list[str] = []
    for part in parts:
        if sum(map(len, kept)) + len(part) + 2 * len(kept) <= MAX_NOTE_CHARS:
            kept.append(part)
    return "\n\n".join(kept)


def _headline(records: DayRecords) -> Iterator[str]:
    decision, order = records.decision, records.override
    if decision is None:
        yield "### not decided yet"
    else:
        yield f"### {decision.action}: {decision.cause.replace('_', ' ')}"
    if order is not None:
        yield f"**{plain(order.by)} ordered {order.action}**: {plain(order.note)}"
    results = by_urgency(records.drift.results) if records.drift else []
    drifted = [result for result in results if result.state == "drifted"]
    if drifted:
        yield "**Drifted:** " + "; ".join(map(_drift_words, drifted[:MOST_DRIFTED]))


def _drift_words(result: DriftResult) -> str:
    name = result.measure
    return (
        f"{plain(label(name))} {measured(name, result.current)} against "
        f"{measured(name, result.baseline)} ({change(result)}, tolerated {tolerance(result)})"
    )


def _context(records: DayRecords) -> Iterator[str]:
    decision = records.decision
    champion = f"champion version {plain(records.champion)}" if records.champion else "no champion"
    policy = f", policy {plain(decision.policy_version)}" if decision else ""
    page = "charts and every detail: artifact `report.html`"
    yield f"{records.model}, {records.day.isoformat()}, {champion}{policy}; {page}"


def _why(records: DayRecords) -> Iterator[str]:
    reasons = records.decision.reasons if records.decision else ()
    if reasons:
        yield "\n".join(f"- {plain(reason.words)}" for reason in reasons[:MAX_ROWS])


def _outcomes(records: DayRecords) -> Iterator[str]:
    for answer in records.allotted:
        if answer.verdict != "granted":
            yield f"**{answer.wish.kind} wished**, {plain(answer.words)}"
    for job in records.jobs:
        method = f" ({plain(job.job.method)})" if job.job else ""
        yield f"**{job.kind}{method}: {plain(outcome_of(job))}.** {_gate_words(job)}"
    if records.review is not None:
        yield f"**review: {headline(records.review)}**; see its own run"


def _gate_words(job: JobRecords) -> str:
    if job.gate is None:
        return ""
    failed = [row for row in job.gate.rows if not row.passed]
    if failed:
        return "Not passed: " + "; ".join(plain(row.words) for row in failed)
    return f"All {len(job.gate.rows)} checks passed."


def _drifts(records: DayRecords) -> Iterator[str]:
    results = records.drift.results if records.drift else ()
    if results:
        rows = [_drift_row(result) for result in by_urgency(results)[:MAX_ROWS]]
        head = "| measure | day | baseline | change | tolerance | state |"
        yield "\n".join([head, "|---|--:|--:|--:|--:|---|", *rows])


def _drift_row(result: DriftResult) -> str:
    word = state_of(result)
    state = f"**{word}**" if word in ("drifted", "improved") else word
    cells = (
        plain(label(result.measure)),
        *(measured(result.measure, result.current), measured(result.measure, result.baseline)),
        *(change(result), tolerance(result), state),
    )
    return f"| {' | '.join(cells)} |"


def _data(records: DayRecords) -> Iterator[str]:
    checked, metrics = records.validation, records.metrics
    if checked is not None:
        trust = "trusted" if checked.trusted else "**not trusted**"
        yield f"Data: {trust}, {checked.coverage:.0%} of the day covered" + (
            f", {metrics.rows_quarantined:,} of {metrics.rows_read:,} rows set aside."
            if metrics
            else "."
        )
        if checked.failures:
            yield "\n".join(f"- {plain(f.words)}" for f in checked.failures[:MAX_ROWS])
    for revision in records.late:
        yield (
            f"**Late data: revision {revision.revision}.** The decision above was made without it, "
            f"and stands. {'; '.join(map(_late_words, revision.changes[:MAX_ROWS]))}"
        )


def _late_words(change_: LateChange) -> str:
    before, after = number(change_.before), number(change_.after)
    return f"{plain(label(change_.measure))} {before} → {after}"


def _search_words(job: JobRecords) -> Iterator[str]:
    """Why the chosen one was chosen, and the trials that no other beats."""
    if job.search is None:
        return
    yield f"**Search:** {plain(job.search.why)} It ended: {plain(job.search.ended)}."
    if job.search.tried_last:
        yield f"Refused here on earlier days, so tried last: {', '.join(job.search.tried_last)}."
    on_front = [t for t in job.trials if t.number in job.search.front and t.measured is not None]
    head = "| front | quality loss | speed-up | size | precision |\n|---|--:|--:|--:|---|"
    rows = [
        f"| {t.number}: {plain(t.route)} | {m.quality_loss:+.2%} | {m.speedup:.2f} | "
        f"{m.size_share:.3f} | {plain(m.precision)} |"
        for t in on_front[:MAX_ROWS]
        if (m := t.measured) is not None
    ]
    yield "\n".join([head, *rows])
    yield f"Every trial is a run below this one; the plot is the artifact `{FRONT}`."


def job_note(job: JobRecords) -> str:
    """The note of a job's run: what was made from what, and every check of the gate."""
    parts = [f"### {job.kind}: {plain(outcome_of(job))}"]
    if job.candidate is not None:
        made = job.candidate
        parts.append(
            f"Method {plain(made.method)}, from version {plain(made.parent_version)}, "
            f"{made.format}, {made.folder.size_bytes / 1e6:,.1f} MB. {_gate_words(job)}"
        )
    parts += _search_words(job)
    if job.approval is not None:
        answer = "approved" if job.approval.approved else "refused"
        parts.append(f"{answer} by {plain(job.approval.by)}: {plain(job.approval.note)}")
    if job.gate is not None:
        head = "| check | champion | candidate | effect | margin | |\n|---|--:|--:|--:|--:|---|"
        rows = [
            f"| {plain(r.check)} | {number(r.champion)} | {number(r.candidate)} | "
            f"{effect_words(r.effect, r.interval)} | {number(r.margin)} | "
            f"{'passed' if r.passed else '**failed**'} |"
            for r in job.gate.rows
        ]
        parts.append("\n".join([head, *rows]))
        parts.append("\n".join(f"- {plain(row.words)}" for row in job.gate.rows))
    return _whole_parts(parts)
