"""Looks after every model of the fleet, once a day.

What did production do, can the data be trusted, is the quality still there, did anything really
drift and why, what is to be done.

| task | what it does |
|---|---|
| `open_day` | checks the parameters strictly, waits for earlier days, takes the models' day |
| `observe` | collects the day's metrics and says whether they can be trusted |
| `evaluate` | measures the quality of the version that served the day |
| `decide` | compares with the baseline, finds the cause, decides; the decision is its map index |
| `allot` | shares the day's budget for jobs out among all models, and says who gets none and why |
| `act` | starts the run of `compress`, `retrain` or `rollback` that follows, or adopts it |
| `report` | projects the day to MLflow; the button **MLflow run** leads there |

**When.** Every night, for the UTC day before (`UPKEEP_SCHEDULE` gives another cron expression);
by hand for any day that is over. A backfill decides about past days in their order and starts
no job. On SQLite Airflow may answer that its database is locked and take it back: ask again.

**Again.** A second run of the same day adopts what is recorded: no new decision, no second job.
While somebody else works on the day, it ends skipped, "attached to" the one who does.

**One bad model** fails alone: its map index is red, the others are done. `allot` waits for all.

**The budget** (`fleet/budget.yaml`) is the fleet's for a UTC day. Where it is short, what
protects or saves most a day goes first, rollbacks in any case; what a person ordered goes around
it, and is counted. A wish that is refused starts nothing that day; the note says why.

**The decision** stands in the map index of `decide` and in the run's note.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, task, task_group

from upkeep_airflow import acting, daily
from upkeep_airflow.forms import form
from upkeep_airflow.patience import PATIENT

DAY = timedelta(days=1)
NAMED: dict[str, Any] = {
    "map_index_template": "{{ upkeep_label or task.op_kwargs['shard']['models'] | join(', ') }}"
}

with DAG(
    dag_id="daily_cycle",
    schedule=os.environ.get("UPKEEP_SCHEDULE", "@daily") or None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # days go in order; backfills have a limit of their own: see open_day
    dagrun_timeout=DAY,
    params=form("daily_cycle"),
    default_args=PATIENT,
    doc_md=__doc__,
    tags=["upkeep"],
) as dag:
    waits = {"mode": "reschedule", "poke_interval": 15, "timeout": DAY}
    open_day = task.sensor(**waits)(daily.open_day)
    observe = task(**NAMED)(daily.observe)
    evaluate = task(**NAMED | {"execution_timeout": timedelta(hours=12)})(daily.evaluate)
    decide = task(**NAMED)(daily.decide)
    allot = task(trigger_rule="all_done")(acting.allot)
    act = task(trigger_rule="all_done", **NAMED)(acting.act)
    report = task(trigger_rule="all_done", **NAMED)(daily.report)

    def model_day(shard: Any) -> None:
        """One model's day; a shard of models where the fleet is large."""
        observe(shard=shard) >> evaluate(shard=shard) >> decide(shard=shard)

    def model_end(shard: Any) -> None:
        """What follows from it, once the budget of the whole fleet is shared out."""
        report(shard=shard, acted=act(shard=shard))

    opened = open_day()
    judged = task_group(model_day).expand(shard=opened)
    judged >> allot(shards=opened) >> task_group(model_end).expand(shard=opened)
