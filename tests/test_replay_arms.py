"""What decisions come to: who healed which harm when, and what jobs and serving cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from fakes.replayed_store import spec, told
from fakes.sixteen_days import default_policy

from upkeep.records import Action, Drift
from upkeep.replay_arms import arms
from upkeep.replay_jobs import Jobs, Kind, Ran
from upkeep.replay_records import Harm, LivedDay, Outcome
from upkeep.replay_truth import harm, served_usd
from upkeep.replay_walk import Walked
from upkeep.spec import Objective

FIRST = date(2026, 1, 5)
WORDS: dict[str, Action] = {
    ".": "keep", "R": "retrain", "C": "compress", "B": "rollback", "?": "investigate"
}  # fmt: skip
HARMS: dict[str, Harm | None] = {".": "", "q": "quality", "l": "latency", "u": None}


def walked(
    harms: str,
    decided: str,
    carried: str,
    refused: str = "",
    compressed: Sequence[bool] = (),
    *,
    short: tuple[str, str] = ("", ""),
) -> list[Walked]:
    """Days drawn as letters; ``refused`` has an x where the stored job was refused.

    ``short`` has an x where the budget had no room for the job, stored and carried on.
    """
    days, ran = [], {}
    for n, letter in enumerate(harms):
        day, mine, theirs = FIRST + timedelta(n), WORDS[decided[n]], WORDS[carried[n]]
        job = mine in ("compress", "retrain")
        outcome: Outcome = "refused" if refused[n : n + 1] == "x" else "promoted"
        if job:
            kind: Kind = "compress" if mine == "compress" else "retrain"
            ran[day, kind] = Ran(day, kind, outcome, 2.0, 4, 2.0)
        days.append((day, mine, theirs, outcome if job else "none", HARMS[letter]))
    jobs = Jobs(ran)
    return [
        Walked(
            lived=LivedDay(
                day=day,
                decided=mine,
                outcome=outcome,
                replayed=theirs,
                job=None,
                ordered=False,
                compressed=False,
                harm=harm,
                served_usd=10.0,
                saving=jobs.saving(spec(), day),
                compress=jobs.cost(day, "compress", spec()),
                retrain=jobs.cost(day, "retrain", spec()),
            ),
            granted=short[0][n : n + 1] != "x",
            carried=theirs,
            carried_granted=short[1][n : n + 1] != "x",
            carried_outcome="none",
            carried_compressed=bool(compressed and compressed[n]),
        )
        for n, (day, mine, theirs, outcome, harm) in enumerate(days)
    ]


def drawn(flags: Sequence[bool]) -> str:
    """Days as letters again."""
    return "".join("h" if flag else "." for flag in flags)


@pytest.mark.parametrize(
    ("harms", "decided", "carried", "refused", "stored", "other", "tries"),
    [
        # both act on the same day: the same days are degraded
        ("..qq..", "...R..", "...R..", "", "..hh..", "..hh..", "000000"),
        # the job was refused: nothing was done about it
        ("..qqq.", "..R...", "..R...", "..x", "..hhh.", "..hhh.", "000000"),
        # harm that stays after something was done is not counted again
        ("..qqq.", "..R...", "..R...", "", "..h...", "..h...", "000000"),
        # the other policy acts a day earlier: from then on its days count by the chance
        ("..qqq.", "...R..", "..R...", "", "..hh..", "..hhhh", "000111"),
        # it never acts, and no harm was ever left alone: to the end of the days
        ("..q...", "..R...", "......", "", "..h...", "..hhhh", "000000"),
        # it never acts; harms that nobody healed lasted two days
        ("qq..q.......", "....R.......", "............", "", "hh..h.......", "hh..hhh.....",
         "000000000000"),
        # it acts later, on a day that the stored policy had healed
        ("..q...", "..R...", "....R.", "", "..h...", "..hhhh", "000001"),
        # a compression is nothing about quality, but something about latency
        ("qq.ll.", "C..C..", "C..C..", "", "hh.h..", "hh.h..", "000000"),
        # a rollback is about both
        ("qq.ll.", "B..B..", "B..B..", "", "h..h..", "h..h..", "000000"),
        # a look is no cure; a day that is not known neither counts nor ends a harm
        ("quq.", "?...", "?...", "", "h.h.", "h.h.", "0000"),
        # two tries count twice
        ("qqq", "...", "RR.", "", "hhh", "hhh", "012"),
    ],
)  # fmt: skip
def test_a_day_is_degraded_until_something_is_done(
    harms: str, decided: str, carried: str, refused: str, stored: str, other: str, tries: str
) -> None:
    """The stored arm by what happened, the other by what it would have done."""
    before, after, _ = arms(walked(harms, decided, carried, refused))
    assert drawn(before.harmed) == stored
    assert drawn(after.harmed) == other
    assert "".join(map(str, after.tries)) == tries
    assert not any(before.tries)


def test_jobs_cost_what_they_took_and_the_others_what_their_like_took() -> None:
    """Eight GPU-hours each, two machine hours at 0.60 USD; none on days without a job."""
    before, after, _ = arms(walked("....", "R...", "..R."))
    assert before.jobs == (1, 0, 0, 0)
    assert before.gpu_hours == (8.0, 0.0, 0.0, 0.0)
    assert before.job_usd == pytest.approx((1.2, 0.0, 0.0, 0.0))
    assert (after.jobs, after.gpu_hours) == ((0, 0, 1, 0), (0.0, 0.0, 8.0, 0.0))


def test_a_job_that_the_budget_has_no_room_for_costs_nothing_and_heals_nothing() -> None:
    """In either arm; the harm goes on, and the job counts on the day that it was granted."""
    before, after, _ = arms(walked("qqqq", "RR..", "RR..", short=("x", "")))
    assert (before.jobs, after.jobs) == ((0, 1, 0, 0), (1, 1, 0, 0))
    assert (drawn(before.harmed), drawn(after.harmed)) == ("hh..", "hh..")
    assert after.tries == (0, 1, 1, 1)
    before, after, _ = arms(walked("qqqq", "R...", "R...", short=("", "x")))
    assert (before.jobs, after.jobs) == ((1, 0, 0, 0), (0, 0, 0, 0))
    assert after.gpu_hours == after.job_usd == (0.0, 0.0, 0.0, 0.0)
    assert (drawn(before.harmed), drawn(after.harmed)) == ("h...", "hhhh")


def test_a_compression_of_the_other_policy_makes_serving_cheaper() -> None:
    """Twice as fast by the gate: half the cost from then on."""
    before, after, _ = arms(walked("...", "C..", "C..", compressed=(False, True, True)))
    assert before.serving_usd == (10.0, 10.0, 10.0)
    assert after.serving_usd == (10.0, 5.0, 5.0)


def test_harm_is_a_drift_to_the_worse_or_a_missed_objective() -> None:
    """Of quality or latency; an untrusted day is not known; cost is no harm."""
    judged = told().days[13]
    policy = default_policy()
    assert harm(judged.facts, judged.drift, policy) == "quality"
    assert harm(told().days[12].facts, told().days[12].drift, policy) is None
    quiet = told().days[9]
    assert harm(quiet.facts, quiet.drift, policy) == ""
    slow = policy.model_copy(update={"objectives": {"latency_p95_ms": Objective(max=1.0)}})
    assert harm(quiet.facts, quiet.drift, slow) == "latency"
    dear = policy.model_copy(update={"objectives": {"cost_usd_per_1k": Objective(max=1e-9)}})
    assert harm(quiet.facts, quiet.drift, dear) == ""
    nothing = Drift(model="m", day=quiet.facts.day, results=())
    assert harm(quiet.facts, nothing, policy) == ""


def test_serving_costs_what_the_day_says_or_is_not_known() -> None:
    """Cost per 1,000 x requests that ended well; a missing number is not 0."""
    facts = told().days[9].facts
    value = facts.current.value
    cost, n, bad = value("cost_usd_per_1k"), value("requests"), value("error_rate")
    assert cost is not None
    assert n is not None
    assert bad is not None
    assert served_usd(facts) == pytest.approx(cost / 1000 * n * (1 - bad))
    left = tuple(m for m in facts.current.measures if m.name != "error_rate")
    unknown = facts.model_copy(
        update={"current": facts.current.model_copy(update={"measures": left})}
    )
    assert served_usd(unknown) is None
