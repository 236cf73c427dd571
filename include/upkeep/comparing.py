"""A day's prompts against the model's reference prompts: measured once, kept as a record.

The reference are the prompts of the model's first trusted days, as many as a baseline needs.
It is made once and never changes, whichever champion serves: what people ask does not depend on
who answers, and a fixed reference is what makes days compare. ``policy.baseline.since`` begins
a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from upkeep import prompt_distance
from upkeep.late import first
from upkeep.prompt_distance import KERNEL, Profile
from upkeep.records import PromptDistance, PromptReference
from upkeep.samples import choose_samples, read_samples, samples_key
from upkeep.spec import ModelSpec
from upkeep.store import Store, adopt_or_put, get_record, record_key

STEP = "prompts"
MOST_PROMPTS = 1_000  # a day: their error is a tenth of what anybody would act upon
MOST_DAYS = 28
DIGITS = 9


def compare_prompts(store: Store, spec: ModelSpec, day: date, history_days: int) -> PromptDistance:
    """How unlike the reference the day's prompts are, or why that is not known; written once."""
    key = record_key(spec.name, day, STEP)
    known = get_record(store, key, PromptDistance)
    if known is not None:
        return known
    return adopt_or_put(store, key, _measured(store, spec, day, history_days))


def _measured(store: Store, spec: ModelSpec, day: date, history_days: int) -> PromptDistance:
    def unknown(why: str) -> PromptDistance:
        return PromptDistance(model=spec.name, day=day, value=None, why=why, n=len(prompts))

    prompts = _prompts(store, spec.name, day)
    if len(prompts) < spec.quality.min_samples:
        return unknown(f"{len(prompts)} prompts, {spec.quality.min_samples} are needed")
    reference = _reference(store, spec, day, history_days)
    if isinstance(reference, str):
        return unknown(reference)
    if day in reference.days:
        return unknown("the day's own prompts are part of the reference")
    sums = np.array(reference.sums, dtype=np.int64)
    found = prompt_distance.distance(prompts, Profile(reference.n, sums, reference.squares))
    return PromptDistance(
        model=spec.name,
        day=day,
        value=_digits(found.value),
        error=_digits(found.error),
        n=len(prompts),
        signature=f"mmd2|{reference.kernel}|reference:{reference.digest()[:12]}",
    )


def _prompts(store: Store, model: str, day: date) -> list[str]:
    """The day's prompts that say something: at most ``MOST_PROMPTS``, always the same ones."""
    samples = [s for s in read_samples(store, samples_key(model, day)) if s.prompt.strip()]
    return [sample.prompt for sample in choose_samples(samples, MOST_PROMPTS)]


def _reference(
    store: Store, spec: ModelSpec, day: date, history_days: int
) -> PromptReference | str:
    """The model's reference, made when the first day has enough days before it; else why not."""
    since, needed = spec.policy.baseline.since, min(spec.policy.baseline.min_days, MOST_DAYS)
    name = "first" if since is None else since.isoformat()
    key = f"{spec.name}/prompts/{KERNEL.replace('|', '-').replace(':', '')}/{name}.json"
    known = get_record(store, key, PromptReference)
    if known is not None:
        return known
    days = [day - timedelta(n) for n in range(history_days, 0, -1)]
    days = [d for d in days if since is None or d >= since]
    found = _first_days(store, spec, days, needed)
    if len(found) < needed:
        return f"the reference prompts are being gathered: {len(found)} of {needed} days"
    whole = prompt_distance.together(list(found.values()))
    made: dict[str, Any] = {"n": whole.n, "sums": whole.sums.tolist(), "squares": whole.squares}
    reference = PromptReference(model=spec.name, days=tuple(found), kernel=KERNEL, **made)
    return adopt_or_put(store, key, reference)


def _first_days(
    store: Store, spec: ModelSpec, days: Sequence[date], needed: int
) -> dict[date, Profile]:
    """The prompts of the first ``needed`` trusted days that have enough of them, oldest first."""
    found: dict[date, Profile] = {}
    for day in days:
        known = first(store, spec.name, day)
        if known is None or not known[1].trusted:
            continue
        prompts = _prompts(store, spec.name, day)
        if len(prompts) >= spec.quality.min_samples:
            found[day] = prompt_distance.profile(prompts)
        if len(found) == needed:
            break
    return found


def _digits(value: float) -> float:
    """The value to nine digits."""
    return float(f"{value:.{DIGITS}g}")
