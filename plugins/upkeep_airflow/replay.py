"""The bodies of the tasks of ``replay``: check, decide again, tell. No decision is written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk.exceptions import AirflowFailException

from upkeep.errors import InputError
from upkeep_airflow import daily
from upkeep_airflow.asked import effective, name_map_index
from upkeep_airflow.notes import SAID_KEY, plain
from upkeep_airflow.shards import Shard, each, names, shards_of

if TYPE_CHECKING:
    from upkeep.replay_records import FleetReplay, ModelReplay, ReplayQuestion

LOG = logging.getLogger(__name__)
MOST_TOLD = 5


class Answered(TypedDict):
    """Where the surveys of one shard lie in the store."""

    keys: list[str]


def open_replay(dag_run: Any = None) -> list[Shard]:
    """Check the parameters strictly, the policy too; the models, in shards."""
    return shards_of("", [q.model for q in _questions(dag_run)], "", {})


def decide_again(shard: Shard, dag_run: Any = None) -> Answered:
    """Decide every day of the shard's models again, or adopt the answers that are there."""
    from upkeep.replay_fleet import kept_survey

    name_map_index(names(shard))
    store = daily.cycle().store
    asked = {q.model: q for q in _questions(dag_run)}
    keys = []
    for model, key in each(shard, lambda model: kept_survey(store, asked[model])):
        LOG.info("%s: %s", model, key)
        keys.append(key)
    return Answered(keys=keys)


def tell(answered: Sequence[Answered], ti: Any = None) -> str:
    """Carry all models on together, sum up, leave that in the store, say it in the note; its key.

    Fails where a day could not be replayed, or is not byte for byte what its own recorded
    policy decided: that is what a replay is for.
    """
    from upkeep.replay_fleet import kept_answers, kept_summary, summary_key
    from upkeep.replay_markdown import markdown
    from upkeep.replay_page import headline

    store = daily.cycle().store
    replays = kept_answers(store, [key for shard in answered for key in shard["keys"]])
    fleet = kept_summary(store, replays)
    LOG.info("%s", markdown(fleet, replays))
    ti.xcom_push(key=SAID_KEY, value=[f"**{plain(headline(fleet, replays))}**", *_told(replays)])
    if fleet.failed:
        raise AirflowFailException(f"{headline(fleet, replays)}: {_why(fleet, replays)}")
    return summary_key(fleet)


def _questions(dag_run: Any) -> list[ReplayQuestion]:
    from upkeep.config import parse_policy
    from upkeep.listing import models_of
    from upkeep.params import ReplayParams
    from upkeep.replay_question import questions

    known = models_of(daily.cycle().store)
    params = effective(dag_run, "replay", known)
    assert isinstance(params, ReplayParams)  # noqa: S101 - for the type; effective_params says so
    try:
        policy = parse_policy(params.policy, "policy") if params.policy.strip() else None
        return questions(params.models, known, lambda _: policy, params.from_day, params.to_day)
    except InputError as error:
        raise AirflowFailException(str(error)) from error


def _told(replays: Sequence[ModelReplay]) -> list[str]:
    """The first flips, one line each."""
    flips = [
        f"{r.question.model} {d.day}: {d.stored} → {d.replayed}: {plain(d.budget or d.after)}"
        for r in replays
        for d in r.days
        if d.told
    ]
    more = [f"and {len(flips) - MOST_TOLD} days more"] if len(flips) > MOST_TOLD else []
    return [*flips[:MOST_TOLD], *more]


def _why(fleet: FleetReplay, replays: Sequence[ModelReplay]) -> str:
    from upkeep.replay_page import problems

    differing = [m.model for m in fleet.models if m.identical != m.days]
    return "; ".join([*problems(replays)[:MOST_TOLD], f"see {', '.join(differing[:MOST_TOLD])}"])
