"""The day's page: one HTML file that needs nothing else, no script, everything escaped. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import get_args

from upkeep.day_records import DayRecords, JobRecords
from upkeep.projection import action_of, outcome_of
from upkeep.records import Criterion, DayMeasures, DriftResult
from upkeep.report_chart import Point, Series, svg
from upkeep.report_quality import failures, outputs, people, quality
from upkeep.report_table import table
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

CHARTS = (
    *("perplexity", "bits_per_byte", "fid", "kid", "inception_score", "image_vendi", "clip_score"),
    *("latency_p95_ms", "cost_usd_per_1k", "requests", "error_rate"),
    *("bleu", "chrf", "rouge_l", "distinct_2", "text_vendi", "self_bleu"),
    *(f"human_{criterion}" for criterion in get_args(Criterion)),
)
TILES = ("requests", "perplexity", "fid", "latency_p95_ms", "error_rate", "cost_usd_per_1k")
QUALITY_TILES = ("perplexity", "fid")
COLORS = {
    "keep": "#2f7d4f",
    "compress": "#2563a8",
    "retrain": "#2563a8",
    "rollback": "#c2410c",
    "hold": "#8a6100",
    "investigate": "#c2410c",
}
STYLE = """
:root{color-scheme:light}
body{font:14px/1.45 system-ui,sans-serif;color:#1f2933;background:#f5f7fa;margin:0}
main{max-width:1120px;margin:0 auto;padding:24px}
h1{font-size:20px;margin:0} h2{font-size:15px;margin:28px 0 8px}
.badge{display:inline-block;color:#fff;border-radius:6px;padding:4px 14px;font-size:20px;
font-weight:700;margin-right:12px}
.head{display:flex;align-items:center;flex-wrap:wrap;margin-bottom:4px}
.sub{color:#52606d;margin:4px 0 12px}
.why{background:#fff;border:1px solid #e4e7eb;border-radius:8px;margin:0;
padding:10px 12px 10px 30px}
.why li{margin:3px 0}
.order{background:#fff7ed;border:1px solid #fdba74;border-radius:8px;padding:8px 12px}
.tiles{display:flex;gap:10px;flex-wrap:wrap;margin:14px 0}
.tile{background:#fff;border:1px solid #e4e7eb;border-radius:8px;padding:8px 14px;flex:1 1 150px}
.tile b{display:block;font-size:19px;font-variant-numeric:tabular-nums}
.tile span{color:#52606d;font-size:12px} .tile.bad b{color:#c2410c}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:10px}
.charts figure{background:#fff;border:1px solid #e4e7eb;border-radius:8px;margin:0;padding:4px}
.charts svg{width:100%;height:auto;display:block}
table{border-collapse:collapse;width:100%;background:#fff;border:1px solid #e4e7eb}
th,td{text-align:left;padding:5px 9px;border-top:1px solid #e4e7eb;vertical-align:top;
overflow-wrap:anywhere}
th{font-size:12px;color:#52606d;font-weight:600;border-top:0}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.s-drifted,.s-failed{color:#c2410c;font-weight:700} .s-improved,.s-passed{color:#2f7d4f}
.s-unknown,.s-watch{color:#8a6100;font-weight:600} td span{white-space:nowrap}
td span.quiet{white-space:normal;overflow-wrap:anywhere}
.grid{display:flex;flex-wrap:wrap;gap:4px}
.grid img{width:56px;height:56px;image-rendering:pixelated;border:1px solid #e4e7eb;background:#fff}
.quiet,.foot{color:#52606d;font-size:12px} .foot{margin-top:28px;overflow-wrap:anywhere}
"""


def html(records: DayRecords) -> bytes:
    """The page of a day, UTF-8."""
    title = f"{records.model} {records.day.isoformat()}"
    body = "".join(
        part
        for section in (
            *(_head, _tiles, outputs, _charts, _drifts, quality, failures, people),
            *(_jobs, _causes, _findings, _late, _foot),
        )
        for part in section(records)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    ).encode("utf-8", "replace")


def series_of(records: DayRecords) -> Iterator[tuple[str, Series]]:
    """The charts that this day has, by measure."""
    facts = records.facts
    days = (*facts.history.rows(), facts.current) if facts else ()
    for name in CHARTS:
        points = [p for day in days if (p := _point(day, name)) is not None]
        if points:
            yield name, _series(name, points, records)


def _point(day: DayMeasures, name: str) -> Point | None:
    found = next((m for m in day.measures if m.name == name), None)
    if found is None or found.value is None:
        return None
    span = found.interval
    low, high = (span.low, span.high) if span else (None, None)
    return Point(day.day, found.value, low, high, day.trusted)


def _series(name: str, points: Sequence[Point], records: DayRecords) -> Series:
    result = records.drift.get(name) if records.drift else None
    if result is None or result.baseline is None:
        return Series(label(name), points)
    band = _band(result, result.baseline)
    return Series(label(name), points, result.baseline, band, result.state == "drifted")


def _band(result: DriftResult, baseline: float) -> tuple[float, float]:
    """The tolerated range: factors 1/(1+t) to 1+t of the baseline, or plus and minus t."""
    if result.tolerance_kind == "relative":
        return baseline / (1 + result.tolerance), baseline * (1 + result.tolerance)
    return max(0.0, baseline - result.tolerance), baseline + result.tolerance


# ---------------------------------------------------------------- the parts of the page


def _head(records: DayRecords) -> Iterator[str]:
    action, decision = action_of(records), records.decision
    cause = f"cause: {decision.cause.replace('_', ' ')}" if decision else "no decision yet"
    champion = f"champion version {records.champion}" if records.champion else "no champion"
    yield (
        f'<div class="head"><span class="badge" style="background:{COLORS.get(action, "#52606d")}">'
        f"{escape(action)}</span><h1>{escape(records.model)}, {records.day.isoformat()}</h1></div>"
        f'<p class="sub">{escape(cause)} · {escape(champion)}</p>'
    )
    if records.override is not None:
        order = records.override
        yield (
            f'<p class="order"><b>{escape(order.by)} ordered {escape(order.action)}</b>: '
            f"{escape(order.note)}</p>"
        )
    reasons = decision.reasons if decision else ()
    for answer in records.allotted:
        if answer.verdict != "granted":
            wished = f"<b>{answer.wish.kind} wished</b>, {escape(answer.words)}"
            yield f'<p class="order">{wished}</p>'
    if reasons:
        yield f'<ul class="why">{"".join(f"<li>{escape(r.words)}</li>" for r in reasons)}</ul>'


def _tiles(records: DayRecords) -> Iterator[str]:
    today = records.facts.current if records.facts else None
    there = [n for n in TILES if today and (today.measure(n) or n not in QUALITY_TILES)]
    tiles = [_tile(name, today, records) for name in there] if today else []
    if tiles:
        yield f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(name: str, today: DayMeasures, records: DayRecords) -> str:
    result = records.drift.get(name) if records.drift else None
    bad = " bad" if result is not None and result.state == "drifted" else ""
    known = result is not None and result.effect is not None
    against = f"{change(result)} to baseline" if result is not None and known else "no baseline"
    return (
        f'<div class="tile{bad}"><span>{escape(label(name))}</span>'
        f"<b>{measured(name, today.value(name))}</b><span>{against}</span></div>"
    )


def _charts(records: DayRecords) -> Iterator[str]:
    drawn = [f"<figure>{svg(series)}</figure>" for _, series in series_of(records)]
    if drawn:
        yield (
            f'<h2>The days before</h2><div class="charts">{"".join(drawn)}</div>'
            '<p class="quiet">Dashed: baseline. Shaded: what is tolerated. Bars: 95 % intervals. '
            "Hollow: a day whose data could not be trusted. The last point is this day.</p>"
        )


def _drifts(records: DayRecords) -> Iterator[str]:
    results = records.drift.results if records.drift else ()
    head = ("Measure", "#Day", "#Baseline", "#Change", "#Tolerance", "#Evidence", "State", "Why")
    yield from table("Drift", head, (_drift_cells(r) for r in by_urgency(results)))


def _drift_cells(result: DriftResult) -> Iterator[str]:
    name = result.measure
    yield escape(label(name))
    yield from (measured(name, result.current), measured(name, result.baseline))
    yield from (change(result), tolerance(result))
    yield "" if result.evidence is None else f"{result.evidence:.1f} sd"
    yield _state(result)
    yield escape(result.words)


def _state(result: DriftResult) -> str:
    word = state_of(result)
    return f'<span class="s-{word}">{word}</span>'


def _jobs(records: DayRecords) -> Iterator[str]:
    for job in records.jobs:
        yield f"<h2>{escape(job.kind)}: {escape(outcome_of(job))}</h2>{_made(job)}"
        rows = job.gate.rows if job.gate else ()
        head = ("Check", "#Champion", "#Candidate", "#Effect", "#Margin", "Passed", "Why")
        yield from table(
            "",
            head,
            (
                (
                    *(escape(row.check), number(row.champion), number(row.candidate)),
                    *(effect_words(row.effect, row.interval), number(row.margin)),
                    _verdict(passed=row.passed),
                    escape(row.words),
                )
                for row in rows
            ),
        )


def _made(job: JobRecords) -> str:
    if job.candidate is None:
        return ""
    made = job.candidate
    words = (
        f"Method {made.method}, from version {made.parent_version}, {made.format}, "
        f"{made.folder.size_bytes / 1e6:,.1f} MB in {len(made.folder.files)} files"
    )
    return f'<p class="quiet">{escape(words)}</p>'


def _verdict(*, passed: bool) -> str:
    return f'<span class="s-{"passed" if passed else "failed"}">{"yes" if passed else "no"}</span>'


def _causes(records: DayRecords) -> Iterator[str]:
    ranked = records.diagnosis.ranked if records.diagnosis else ()
    rows = ((escape(r.cause.replace("_", " ")), number(r.score), escape(r.words)) for r in ranked)
    yield from table("Causes considered", ("Cause", "#Score", "Why"), rows)
    cost = records.diagnosis.cost if records.diagnosis else None
    if cost is not None:
        yield f"<h2>What changed the cost</h2><p>{escape(cost.words)}</p>"
    if records.scaling is not None:
        yield f"<h2>Machines by the hour of the week</h2><p>{escape(records.scaling.words)}</p>"


def _findings(records: DayRecords) -> Iterator[str]:
    findings = records.validation.findings if records.validation else ()
    rows = (
        (
            *(escape(f.check), escape(f.observed), escape(f.rule)),
            *(_verdict(passed=f.passed), escape("" if f.passed else f.words)),
        )
        for f in sorted(findings, key=lambda f: f.passed)
    )
    yield from table("Checks of the data", ("Check", "Seen", "Rule", "Passed", "Why"), rows)
    aside = records.metrics.quarantined if records.metrics else ()
    held = ((escape(q.what), f"{q.rows:,}", escape(q.reason)) for q in aside)
    yield from table("Set aside", ("What", "#Rows", "Why"), held)


def _late(records: DayRecords) -> Iterator[str]:
    for revision in records.late:
        rows = ((escape(c.measure), number(c.before), number(c.after)) for c in revision.changes)
        title = f"Late data: revision {revision.revision}; the decision was made without it"
        yield from table(title, ("Measure", "#Decided on", "#Now"), rows)


def _foot(records: DayRecords) -> Iterator[str]:
    decision = records.decision
    spec = records.opened.get("spec_sha256") or "not known"
    policy = f"{decision.policy_version} ({decision.policy_sha256})" if decision else "not known"
    digest = decision.digest() if decision else "not known"
    yield (
        f'<p class="foot">revision {records.revision} · policy {escape(policy)} · '
        f"specification {escape(str(spec))} · decision {escape(digest)}</p>"
    )
