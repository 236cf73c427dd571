"""In which order a search tries its routes: the promising first, the refused last. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from upkeep.compression.search_space import REDRAWS, Space, Suggestion, families
from upkeep.records import Earlier, Prediction, Step, Trial, canonical_json

BAD = ("refused", "slower", "failed")


class Plan(NamedTuple):
    """Routes that are tried once each, in this order, before and after the sampler's own."""

    first: tuple[str, ...]
    last: tuple[str, ...]


def refused(earlier: Sequence[Earlier], target: str) -> tuple[str, ...]:
    """The families that earlier days refused on this target, and nothing later took back.

    Refused: the gate said no, or a trial failed or was slower than the champion, and on that
    same day no trial of the family did better.
    """
    days = [known for known in earlier if known.target == target]
    found = []
    for name in sorted({families(known.steps) for known in days} - {""}):
        own = [known for known in days if families(known.steps) == name]
        latest = max(known.day for known in own)
        verdicts = [known.verdict for known in own if known.day == latest]
        # What the gate said of the day's candidate stands over what its trials had shown.
        judged = [v for v in verdicts if v in ("passed", "refused")] or verdicts
        if all(verdict in BAD for verdict in judged):
            found.append(name)
    return tuple(found)


def plan(space: Space, predicted: Mapping[str, Prediction], last: Sequence[str]) -> Plan:
    """Of the largest predicted gain first; families of ``last`` in the end."""
    ordered = sorted(space.routes, key=lambda label: (-_gain(predicted.get(label)), label))
    is_last = {label: families(space.first(label).steps) in last for label in ordered}
    return Plan(
        tuple(label for label in ordered if not is_last[label]),
        tuple(label for label in ordered if is_last[label]),
    )


def _gain(predicted: Prediction | None) -> float:
    """Predicted speed-up over size: 1 where nothing is known."""
    if predicted is None:
        return 1.0
    return (predicted.speedup or 1.0) / (predicted.size_share or 1.0)


def suggest(
    space: Space, order: Plan, known: Sequence[Trial], *, seed: int, trials: int | None
) -> Suggestion | None:
    """What the next trial is; None where nothing is left that was not tried.

    First each route once with its first settings, then what the sampler asks for, and in the
    last trials of the budget the routes that were refused earlier.
    """
    number = len(known)
    if number < len(order.first):
        return space.first(order.first[number])
    late = max(len(order.first), (trials or 0) - len(order.last))
    if trials is not None and late <= number < late + len(order.last):
        return space.first(order.last[number - late])
    tried = {_steps_key(trial.steps) for trial in known}
    for redraw in range(REDRAWS):
        asked = space.ask(seed, number, redraw, known)
        if asked.route not in order.last and _steps_key(asked.steps) not in tried:
            return asked
    rest = [space.first(label) for label in order.last]
    return next((s for s in rest if _steps_key(s.steps) not in tried), None)


def _steps_key(steps: Sequence[Step]) -> bytes:
    return canonical_json([step.model_dump(mode="json") for step in steps])
