"""Estimates of a replay: totals that are exact, intervals that hold, bytes that repeat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest

from upkeep.replay_estimates import DRAWS, all_refused, block_weights, estimates_of
from upkeep.replay_records import Arm, Estimate, Gates, ModelReplay, ReplayedDay, ReplayQuestion

FIRST = date(2026, 1, 5)
ZEROS = "0" * 64
NO_GATES = Gates(promoted=0, judged=0)


def arm(
    jobs: Sequence[int],
    *,
    hours: Sequence[float | None] | None = None,
    harmed: Sequence[bool] | None = None,
    tries: Sequence[int] | None = None,
    serving: Sequence[float | None] | None = None,
) -> Arm:
    """One arm; what is not given is nothing."""
    none = [0.0] * len(jobs)
    return Arm(
        jobs=tuple(jobs),
        gpu_hours=tuple(hours or none),
        job_usd=tuple(none),
        harmed=tuple(harmed or [False] * len(jobs)),
        tries=tuple(tries or [0] * len(jobs)),
        serving_usd=tuple(serving or none),
    )


def answered(stored: Arm, other: Arm, model: str = "m", gates: Gates = NO_GATES) -> ModelReplay:
    """A model's answer of these arms."""
    return ModelReplay(
        question=ReplayQuestion(model=model, policy={}),
        inputs_sha256=ZEROS,
        program_sha256=ZEROS,
        days=tuple(ReplayedDay(day=FIRST + timedelta(n)) for n in range(len(stored.jobs))),
        stored=stored,
        other=other,
        gates=gates,
    )


def of(quantity: str, *replays: ModelReplay) -> Estimate:
    """One estimate."""
    return next(e for e in estimates_of(replays) if e.quantity == quantity)


def test_totals_are_sums_over_days_and_models() -> None:
    """Jobs of two models; the change is other less stored."""
    one = answered(arm([1, 0, 1, 0]), arm([0, 0, 1, 0]), "one")
    two = answered(arm([0, 0, 0, 1]), arm([0, 0, 0, 0]), "two")
    found = of("jobs", one, two)
    assert (found.stored, found.other, found.change) == (3.0, 1.0, -2.0)
    assert (found.n_days, found.n_models, found.unit) == (8, 2, "jobs")
    assert found.interval is not None
    assert found.interval.low <= -2.0 <= found.interval.high


def test_the_order_of_the_models_changes_no_byte() -> None:
    """Nor does asking again."""
    rng = np.random.default_rng(3)
    replays = [
        answered(
            arm(rng.integers(0, 2, 30).tolist()), arm(rng.integers(0, 2, 30).tolist()), f"m{n}"
        )
        for n in range(5)
    ]
    first = [e.canonical_bytes() for e in estimates_of(replays)]
    assert [e.canonical_bytes() for e in estimates_of(replays[::-1])] == first
    assert [e.canonical_bytes() for e in estimates_of(replays)] == first


def test_an_interval_covers_a_planted_change() -> None:
    """Jobs dropped with a known weekly chance: 50 fleets of 8 models x 84 days."""
    days, models, rng = 84, 8, np.random.default_rng(11)
    chance = np.tile([0.02, 0.02, 0.02, 0.02, 0.02, 0.15, 0.15], days // 7)
    truth, covered = -models * float(chance.sum()), 0
    for _ in range(50):
        dropped = rng.random((models, days)) < chance
        fleet = [
            answered(arm(row.astype(int).tolist()), arm([0] * days), f"m{n}")
            for n, row in enumerate(dropped)
        ]
        found = of("jobs", *fleet).interval
        assert found is not None
        covered += found.low <= truth <= found.high
    assert covered >= 44, "nominal is 47.5 of 50"


def test_an_interval_of_one_model_covers_runs_of_bad_days() -> None:
    """Harm comes in runs of five days: blocks keep them together."""
    days, rng, covered = 140, np.random.default_rng(5), 0
    starts = 0.04
    share = 1.0 - (1.0 - starts) ** 5  # a day is bad if one of the last five days began a run
    for _ in range(100):
        begins = rng.random(days + 5) < starts
        bad = np.array([begins[n : n + 5].any() for n in range(days)])
        found = of("degraded_days", answered(arm([0] * days), arm([0] * days, harmed=bad.tolist())))
        assert found.interval is not None
        covered += found.interval.low <= share * days <= found.interval.high
    assert covered >= 80, "percentiles of few runs are a little short of 95 of 100"


def test_what_is_not_known_is_no_zero() -> None:
    """A job whose hours nobody knows: the sum is not known, and says on how many days."""
    found = of("gpu_hours", answered(arm([1, 1], hours=[1.0, None]), arm([0, 0])))
    assert (found.stored, found.other, found.change, found.interval) == (None,) * 4
    assert "1 of 2 days" in found.words


def test_days_whose_serving_cost_is_not_known_are_left_out_and_counted() -> None:
    """In both arms alike."""
    before, after = arm([0] * 3, serving=[4.0, None, 4.0]), arm([0] * 3, serving=[2.0, None, 4.0])
    found = of("serving_usd", answered(before, after))
    assert (found.stored, found.other, found.change, found.n_days) == (8.0, 6.0, -2.0, 2)
    assert "1 days" in found.words


def test_where_no_day_differs_nothing_is_claimed_of_other_days() -> None:
    """The change of these days is 0; of others no interval is given."""
    found = of("jobs", answered(arm([1, 0]), arm([1, 0])))
    assert (found.change, found.interval) == (0.0, None)
    assert "no day differs" in found.words


def test_a_day_after_a_job_that_never_ran_counts_by_the_chance_that_it_was_refused() -> None:
    """3 of 4 promoted: Beta(4, 2), so that 1/3 of the day is left."""
    after = arm([0, 0], harmed=[True, True], tries=[0, 1])
    made = answered(arm([0, 0], harmed=[True, True]), after, gates=Gates(promoted=3, judged=4))
    found = of("degraded_days", made)
    assert found.stored == 2.0
    assert found.other == pytest.approx(1 + 1 / 3, rel=1e-5)
    assert found.interval is not None
    assert found.interval.low < found.change < found.interval.high <= 0.0  # type: ignore[operator]


def test_the_chance_that_all_tries_are_refused() -> None:
    """Nothing known: 1/2, then 1/2 x 2/3."""
    assert [all_refused(n, 1.0, 1.0) for n in range(3)] == pytest.approx([1.0, 0.5, 1 / 3])


@pytest.mark.parametrize("n", [1, 2, 6, 7, 30, 365])
def test_every_draw_has_as_many_days(n: int) -> None:
    """And every day is as likely as any other."""
    weights = block_weights(n, seed=1)
    assert weights.shape == (DRAWS, n)
    assert (weights.sum(axis=1) == n).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(n), abs=0.25)


def test_the_recorded_policy_has_nothing_to_estimate() -> None:
    """No other arm, no estimate."""
    recorded = answered(arm([1]), arm([1])).model_copy(update={"other": None})
    assert estimates_of([recorded]) == ()


def test_models_with_other_days_are_added_up() -> None:
    """One began later: the fleet's days are those of both."""
    late = answered(arm([1] * 3), arm([0] * 3), "late")
    moved = [d.model_copy(update={"day": d.day + timedelta(9)}) for d in late.days]
    found = of(
        "jobs", answered(arm([1] * 4), arm([0] * 4)), late.model_copy(update={"days": tuple(moved)})
    )
    assert (found.stored, found.other, found.n_days) == (7.0, 0.0, 7)
