"""What would another policy have decided? Decides past days again from their stored records.

By hand, whenever a policy is to be changed or a decision is doubted. Nothing is decided anew: no
decision, no job and no promotion comes of it.

| task | what it does |
|---|---|
| `open_replay` | checks the parameters and the policy strictly; the models of the store |
| `decide_again` | every stored day of a model, once more; the answer stays in the store |
| `tell` | the flips, and what they come to: jobs, GPU-hours, cost, days degraded; the run's note |

**Without a policy** every day is decided by the policy that it was decided by, and must come out
byte for byte: otherwise the run fails and says which day of which model differs, or which
record was tampered with.

**With a policy**, pasted as YAML, each day is decided twice: from its facts *as they were*, which
is exact, and *carried on*, where the past decisions are those of the other policy, which is an
estimate. See `docs/replay.md` for what the estimates mean and do not mean.

**Again.** The same question over the same days, asked of the same program, is answered by the
records that are there (`replays/`). `tell` has the whole answer in its log, as Markdown for a
pull request; `upkeep replay --markdown` prints it too.
"""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, task

from upkeep_airflow import replay
from upkeep_airflow.forms import form
from upkeep_airflow.patience import PATIENT

NAMED: dict[str, Any] = {
    "map_index_template": "{{ upkeep_label or task.op_kwargs['shard']['models'] | join(', ') }}"
}

with DAG(
    dag_id="replay",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params=form("replay"),
    default_args=PATIENT,
    doc_md=__doc__,
    tags=["upkeep"],
) as dag:
    open_replay = task(replay.open_replay)
    decide_again = task(**NAMED)(replay.decide_again)
    tell = task(replay.tell)
    tell(answered=decide_again.expand(shard=open_replay()))
