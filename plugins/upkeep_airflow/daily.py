"""The bodies of ``daily_cycle``'s tasks; each calls one step of the cycle for a shard."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import PokeReturnValue
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from upkeep_airflow.asked import effective, name_map_index, owner_of, run_of
from upkeep_airflow.links import URL_KEY
from upkeep_airflow.notes import SAID_KEY, plain
from upkeep_airflow.shards import Shard, each, names, shards_of

if TYPE_CHECKING:
    from upkeep.cycle import Cycle, StartedDay
    from upkeep.records import Decision, Revision, ValidationResult

LOG = logging.getLogger(__name__)
DECIDE_ID = "model_day.decide"
UNFINISHED = ("queued", "running")


def cycle() -> Cycle:
    """The cycle of this installation: from the environment, with Airflow's connections."""
    from upkeep.cycle import Cycle
    from upkeep_airflow.connections import from_airflow

    return Cycle.from_env(from_airflow)


def open_day(dag_run: Any = None, ti: Any = None) -> PokeReturnValue:
    """Check the parameters, wait for earlier days, take the models' day.

    Ends skipped, "attached to RUN", when another run works on all of it.
    """
    if any(ti.get_previous_dagrun(state=state) for state in UNFINISHED):
        LOG.info("an earlier day is still being worked on; days go in order")
        return PokeReturnValue(is_done=False)
    route = cycle()
    params = effective(dag_run, "daily_cycle", route.fleet_names())
    started = route.start(params, owner_of(dag_run))
    for model, owner in started.attached.items():
        LOG.warning("%s is attached to %s", model, owner)
    if started.attached and not started.models:
        return _attach(started, ti)
    day = started.day.isoformat()
    ti.xcom_push(key=SAID_KEY, value=_opening(started))
    refused = dict(started.refused)
    if (dag_run.conf or {}).get("models"):  # who names models is not told of other files
        refused = {name: why for name, why in refused.items() if name in params.models}
    return PokeReturnValue(
        is_done=True, xcom_value=shards_of(day, started.models, owner_of(dag_run), refused)
    )


def _opening(started: StartedDay) -> list[str]:
    said = [f"**{started.day.isoformat()}**"]
    said += [f"{model}: attached to {plain(by)}" for model, by in started.attached.items()]
    return said


def _attach(started: StartedDay, ti: Any) -> PokeReturnValue:
    """Skip in favour of the run that works on it; wait where that run has ended without it."""
    owner = next(iter(started.attached.values()))
    run = run_of(owner)
    if run is not None and ti.get_dagrun_state(*run) not in UNFINISHED:
        LOG.warning("%s has ended and left its lease; waiting until the lease ends", owner)
        return PokeReturnValue(is_done=False)
    ti.xcom_push(key=SAID_KEY, value=[f"attached to {plain(owner)}"])
    raise AirflowSkipException(f"attached to {owner}")


def observe(shard: Shard) -> None:
    """Collect the day, say whether it can be trusted; look again at days whose data came late."""
    name_map_index(names(shard))
    route, day = cycle(), date.fromisoformat(shard["day"])

    def step(model: str) -> tuple[ValidationResult, list[Revision]]:
        return route.observe(model, day), route.look_back(model, day)

    for model, (seen, late) in each(shard, step):
        LOG.info("%s: %s", model, "trusted" if seen.trusted else "not trusted")
        for revision in late:
            numbers = f"revision {revision.revision}, {len(revision.changes)} numbers changed"
            LOG.warning("%s %s: late data: %s", model, revision.day, numbers)


def evaluate(shard: Shard) -> None:
    """Measure the quality of what served the day."""
    name_map_index(names(shard))
    route, day = cycle(), date.fromisoformat(shard["day"])
    for model, made in each(shard, lambda model: route.evaluate(model, day)):
        LOG.info("%s: %s", model, f"{len(made.results)} measures" if made else "not evaluated")


def decide(shard: Shard, ti: Any = None) -> list[str]:
    """Compare with the baseline, find the cause, decide; the models that are decided."""
    name_map_index(names(shard))
    route, day = cycle(), date.fromisoformat(shard["day"])
    decided: list[str] = []
    said: list[str] = []
    try:
        for model, made in each(shard, lambda model: route.decide(model, day)):
            decided.append(f"{model}: {made.action} ({made.cause})")
            said.append(sentence(made))
    finally:  # what is decided counts, even where another model of the shard failed
        name_map_index("; ".join(decided) or names(shard))
        ti.xcom_push(key=SAID_KEY, value=said)
    return decided


def sentence(made: Decision) -> str:
    """A decision in one line, for people."""
    first = made.reasons[0].words if made.reasons else "no reason recorded"
    return f"{made.model}: **{made.action}** ({made.cause}): {plain(first)}"


def report(shard: Shard, acted: list[str] | None, ti: Any = None) -> None:
    """Project the day to MLflow and give it free; fails where a model has no decision or end."""
    name_map_index(names(shard))
    route, day = cycle(), date.fromisoformat(shard["day"])
    decided = ti.xcom_pull(task_ids=DECIDE_ID, map_indexes=ti.map_index)
    said = [] if decided else [f"{plain(names(shard))}: **no decision**"]
    if said:
        ti.xcom_push(key=SAID_KEY, value=said)
    for model, _ in each(shard, lambda model: route.report(model, day, shard["owner"])):
        if url := route.mlflow_run_url(model, day):
            ti.xcom_push(key=URL_KEY, value=url)
            said.append(f"[{model} in MLflow]({url})")
    ti.xcom_push(key=SAID_KEY, value=said)
    if not decided or acted is None:
        what = "not acted upon" if decided else "no decision"
        raise AirflowFailException(f"{names(shard)}: {what}; see the task that failed")
