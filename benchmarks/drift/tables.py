"""The figures as markdown: each world, the median world, and the worst one by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from benchmarks.drift.faults import Fault
from benchmarks.drift.figures import WorldScore
from benchmarks.drift.scoring import Plan


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float, form: str = ".2f") -> str:
    """A number, or a dash where there is none."""
    return "-" if math.isnan(value) else format(value, form)


def report(scores: Sequence[WorldScore], plan: Plan) -> Iterator[str]:
    """All tables."""
    yield "## Fault-free days\n"
    yield _quiet(scores)
    yield "\n## Which measures the pages are of (a model-month)\n"
    yield _by_measure(scores)
    yield "\n## Planted faults: the median world and the worst\n"
    yield _faults(scores, plan.faults)
    for fault in plan.faults:
        yield f"\n### {fault.name}\n"
        yield _fault(scores, fault)
    yield "\n## Harmless changes: quality pages a model-month (the same days without it)\n"
    yield _harmless(scores, plan.harmless)
    for change in (c for c in plan.harmless if c.causes):
        named = {s.world: s.named[change.name] for s in scores}
        spread = _spread(named, ".0%", least_is_worst=True)
        yield f"\nRight first cause of {change.name}: {spread}"


def _quiet(scores: Sequence[WorldScore]) -> str:
    rows = [
        [
            s.world,
            f"{s.months:.0f}",
            number(s.pages, ".3f"),
            number(s.mature_pages, ".3f"),
            number(s.young_pages, ".3f"),
            number(s.alarm_days, ".3f"),
            number(s.compare_ms, ".1f"),
        ]
        for s in scores
    ]
    rows.append(_middle(scores))
    head = ["world", "model-months", "pages a model-month", "from day 28 on", "first 28 days"]
    return table([*head, "alarm days", "compare, CPU ms"], rows)


def _middle(scores: Sequence[WorldScore]) -> list[str]:
    worst = max(scores, key=lambda s: s.pages)
    middle = median(s.pages for s in scores)
    return [f"median; worst: {worst.world}", "", f"{middle:.3f}; {worst.pages:.3f}", "", "", "", ""]


def _by_measure(scores: Sequence[WorldScore]) -> str:
    names = sorted({name for s in scores for name in s.by_measure})
    rows = [[s.world, *(number(s.by_measure.get(n, 0.0), ".3f") for n in names)] for s in scores]
    return table(["world", *names], rows)


def _faults(scores: Sequence[WorldScore], faults: Sequence[Fault]) -> str:
    head = ["fault", "found within 14 days", "mean delay", "median delay", "right first cause"]
    return table(head, [_over_worlds(scores, fault.name) for fault in faults])


def _over_worlds(scores: Sequence[WorldScore], fault: str) -> list[str]:
    found = {s.world: s.faults[fault] for s in scores}
    return [
        fault,
        _spread({w: f.within_14 for w, f in found.items()}, ".0%", least_is_worst=True),
        _spread({w: f.mean_delay for w, f in found.items()}, ".1f", least_is_worst=False),
        _spread({w: f.median_delay for w, f in found.items()}, ".1f", least_is_worst=False),
        _spread({w: f.right_cause for w, f in found.items()}, ".0%", least_is_worst=True),
    ]


def _spread(values: Mapping[str, float], form: str, *, least_is_worst: bool) -> str:
    """The median world's value; then the worst world's, by name."""
    known = {world: v for world, v in values.items() if not math.isnan(v)}
    if not known:
        return "-"
    worst = (min if least_is_worst else max)(known, key=lambda world: known[world])
    return f"{median(known.values()):{form}}; {known[worst]:{form}} {worst}"


def _fault(scores: Sequence[WorldScore], fault: Fault) -> str:
    rows = []
    for s in scores:
        found = s.faults[fault.name]
        rows.append(
            [
                s.world,
                f"{found.n}",
                f"{found.already}",
                number(found.within_14, ".0%"),
                number(found.within_horizon, ".0%"),
                number(found.mean_delay, ".1f"),
                number(found.median_delay, ".1f"),
                number(found.right_cause, ".0%"),
            ]
        )
    head = ["world", "n", "drifted before", "within 14 days", f"within {fault.horizon}"]
    return table([*head, "mean delay", "median delay", "right first cause"], rows)


def _harmless(scores: Sequence[WorldScore], changes: Sequence[Fault]) -> str:
    rows = []
    for s in scores:
        cells = [s.harmless[c.name] for c in changes]
        rows.append([s.world, *(f"{w:.2f} ({without:.2f})" for w, without in cells)])
    means = [
        (
            sum(s.harmless[c.name][0] for s in scores) / len(scores),
            sum(s.harmless[c.name][1] for s in scores) / len(scores),
        )
        for c in changes
    ]
    rows.append(["mean", *(f"{w:.2f} ({without:.2f})" for w, without in means)])
    return table(["world", *(c.name for c in changes)], rows)
