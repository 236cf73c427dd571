"""The part of the day's page on quality: scores, outputs, what failed, what people say. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from html import escape

from upkeep.day_records import DayRecords
from upkeep.records import Agreement, CriterionResult, People, QualityResult
from upkeep.report_table import table
from upkeep.report_words import label, measured, number

SHOWN_STATISTIC, SHOWN_LEVEL = "spearman", "sample"


def quality(records: DayRecords) -> Iterator[str]:
    """Every score with its interval, and what was asked for and has none."""
    results = records.quality.results if records.quality else ()
    head = ("Measure", "#Score", "#95 % interval", "#Outputs", "Unit", "How")
    yield from table("Quality", head, (_score_cells(result) for result in results))
    missing = records.quality.unmeasured if records.quality else ()
    rows = ((escape(label(each.measure)), escape(each.words)) for each in missing)
    yield from table("Asked for, not measured", ("Measure", "Why"), rows)


def _score_cells(result: QualityResult) -> Iterator[str]:
    span = result.interval
    yield escape(label(result.measure))
    yield measured(result.measure, result.score)
    yield f"{number(span.low)} to {number(span.high)}" if span else "not known"
    yield f"{result.n:,}" + (f" ({result.tokens:,} tokens)" if result.tokens else "")
    yield escape(result.unit)
    yield f'<span class="quiet">{escape(result.signature)}</span>'


def outputs(records: DayRecords) -> Iterator[str]:
    """Images that production made that day; which ones is decided by the hash of their bytes."""
    if records.images:
        tags = "".join(
            f'<img alt="an output" src="data:image/png;base64,{b64encode(png).decode()}">'
            for png in records.images
        )
        yield f'<h2>Outputs of the day</h2><div class="grid">{tags}</div>'


def failures(records: DayRecords) -> Iterator[str]:
    """The kinds of bad outputs, named; texts stay in the store, their ids are here."""
    found = records.quality.failure_modes if records.quality else ()
    rows = (
        (
            *(escape(mode.name), f"{mode.n:,}", f"{mode.share:.1%}", escape(mode.words)),
            escape(", ".join(mode.sample_ids)),
        )
        for mode in found
    )
    head = ("Kind", "#Outputs", "#Share", "What they have in common", "Examples")
    yield from table("Failure modes", head, rows)


def people(records: DayRecords) -> Iterator[str]:
    """What people say, how far they agree, and which measure has a vote."""
    found = records.people
    if found is None:
        return
    if not found.ratings and not found.excluded:
        words = f"Nobody has rated an output since {found.first_day.isoformat()}."
        yield f'<h2>People</h2><p class="quiet">{words}</p>'
        yield from _flags(found)
        return
    numbers = ("#Score, 1 to 5", "#Outputs", "#Ratings", "#Raters", "#Alpha", "#Weight")
    rows = (_criterion_cells(each) for each in found.criteria)
    title = f"People: {found.ratings:,} ratings since {found.first_day.isoformat()}"
    yield from table(title, ("Criterion", *numbers, "In words"), rows)
    head = ("Measure", "Criterion", "#Spearman with people", "#Outputs")
    shown = (
        each
        for each in found.agreements
        if (each.statistic, each.level) == (SHOWN_STATISTIC, SHOWN_LEVEL) and each.n
    )
    yield from table("Agreement with people", head, (_agreement_cells(each) for each in shown))
    votes = (
        (escape(label(v.measure)), "yes" if v.counts else "<b>no</b>", escape(v.words))
        for v in found.votes
    )
    yield from table("Votes", ("Measure", "Counts", "Why"), votes)
    aside = ((escape(e.what), f"{e.n:,}", escape(e.reason)) for e in found.excluded)
    yield from table("Ratings that do not count", ("What", "#Ratings", "Why"), aside)
    yield from _flags(found)


def _flags(found: People) -> Iterator[str]:
    if found.flags:
        yield f'<ul class="why">{"".join(f"<li>{escape(flag)}</li>" for flag in found.flags)}</ul>'


def _criterion_cells(found: CriterionResult) -> Iterator[str]:
    span = found.interval
    interval = f" ({number(span.low)} to {number(span.high)})" if span else ""
    yield found.criterion
    yield f"{number(found.score)}{interval}"
    yield from (f"{n:,}" for n in (found.outputs, found.ratings, found.raters))
    yield number(found.alpha)
    yield number(found.weight)
    yield escape(found.words)


def _agreement_cells(found: Agreement) -> Iterator[str]:
    span = found.interval
    interval = f" ({number(span.low)} to {number(span.high)})" if span else ""
    yield escape(label(found.measure))
    yield found.criterion
    yield f"{number(found.value)}{interval}"
    yield f"{found.n:,}"
