"""What is wrong or slow about a model beyond one day: five inspections, once a week or by hand.

| area | what is looked at |
|---|---|
| architecture | blocks that do next to nothing; where parameters and arithmetic are |
| training | training texts against today's traffic: gaps, copies, leaks; the loss curve |
| inference | the dearest operators; memory that grows with every request |
| infrastructure | rules over threads, batch, number types, machines, time-outs, memory |
| dependencies | the serving lock against a dated list of unsafe and slow versions |

Every finding has its numbers, the gain that is expected, and an action, or why there is none.
What could not be looked at is said too: it is unknown, which is no praise. Nothing is changed by a
review: whoever reads it decides.

| task | what it does |
|---|---|
| `open_review` | checks the parameters strictly; each model with its last decided day |
| `inspect` | submits the job to the model's engine, or adopts it; counts what was found |
| `report` | projects the review to MLflow; the button **MLflow run** leads there |

**When.** Every week, for the whole fleet; by hand for some models and any day that was decided.
A review reads what is recorded up to the last decided day and collects nothing, so it never waits
for the day's cycle. A model that has no decided day yet is left out, and the note says so.

**Again.** There is one review of a model and day; a second run shows the same one.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, task, task_group

from upkeep_airflow import reviewing
from upkeep_airflow.forms import form
from upkeep_airflow.patience import PATIENT

NAMED: dict[str, Any] = {
    "map_index_template": "{{ upkeep_label or task.op_kwargs['asked']['model'] }}"
}

with DAG(
    dag_id="review",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=form("review"),
    default_args=PATIENT,
    doc_md=__doc__,
    tags=["upkeep"],
) as dag:
    open_review = task(reviewing.open_review)
    inspect = task(**NAMED | {"execution_timeout": timedelta(days=8)})(reviewing.inspect)
    report = task(trigger_rule="all_done", **NAMED)(reviewing.report)

    def one_model(asked: Any) -> None:
        """Inspect one model, and tell."""
        report(asked=asked, inspected=inspect(asked=asked))

    task_group(group_id="reviewed")(one_model).expand(asked=open_review())
