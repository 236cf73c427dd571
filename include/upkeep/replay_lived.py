"""One replayed day as it was: what is carried on from it, what its decision reads. Pure."""

from __future__ import annotations

from upkeep.decision import methods_of, reads_the_past
from upkeep.records import DayFacts, Decision, Diagnosis, Drift, History
from upkeep.replay_day import Made, StoredDay
from upkeep.replay_jobs import Jobs
from upkeep.replay_records import AskingDay, LivedDay
from upkeep.replay_truth import harm, served_usd
from upkeep.replay_walk import is_compressed
from upkeep.spec import Policy

NO_HISTORY = History(days=(), trusted=(), versions=(), series=())


def lived_day(
    stored: StoredDay,
    made: Made,
    decided: Decision,
    drift: Drift,
    jobs: Jobs,
    *,
    tried: Policy | None,
    ordered: bool,
) -> LivedDay:
    """The day; ``drift`` is the stored one, ``tried`` another policy than the recorded one."""
    facts, spec = stored.facts, stored.spec
    policy = tried or spec.policy
    asks = reads_the_past(facts, made.drift, made.diagnosis, policy)
    return LivedDay(
        day=stored.day,
        decided=decided.action,
        outcome=jobs.outcome(stored.day, decided.action),
        replayed=made.decision.action,
        job=made.decision.job,
        ordered=ordered,
        compressed=is_compressed(facts.champion_format),
        harm=harm(facts, drift, spec.policy),
        served_usd=served_usd(facts),
        saving=jobs.saving(spec, stored.day),
        compress=jobs.cost(stored.day, "compress", spec),
        retrain=jobs.cost(stored.day, "retrain", spec),
        asking=_asking(stored, made, decided, None if tried else policy) if asks else None,
    )


def _asking(stored: StoredDay, made: Made, decided: Decision, recorded: Policy | None) -> AskingDay:
    facts = DayFacts.model_construct(**{**dict(stored.facts), "history": NO_HISTORY})
    return AskingDay(
        facts=facts,
        drift=Drift.model_construct(**dict(made.drift)),
        diagnosis=Diagnosis.model_construct(**dict(made.diagnosis)),
        methods=methods_of(stored.spec),
        policy=recorded.model_dump(mode="json") if recorded else None,
        stored=decided,
        made=made.decision,
    )
