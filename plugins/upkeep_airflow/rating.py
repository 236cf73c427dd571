"""A person's answers about single outputs, through Airflow's form: the bodies of ``rate_outputs``.

Texts of production never pass through XCom or a template: the task that asks reads them from
the store and shows them escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.providers.standard.operators.hitl import HITLEntryOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException

from upkeep.errors import ParamError
from upkeep_airflow import daily
from upkeep_airflow.asked import effective, name_map_index
from upkeep_airflow.notes import SAID_KEY, plain

if TYPE_CHECKING:
    from upkeep.records import Rating

SAVE, SKIP = "Save", "Skip"
ANSWER_WITHIN = timedelta(days=7)


class AskedOutput(TypedDict):
    """One output that a person is asked about, small enough for XCom: its text stays away."""

    model: str
    day: str
    sample_id: str
    place: str
    criteria: list[str]


class Said(TypedDict):
    """What one person answered about one output."""

    values: dict[str, int]
    by: str
    at: str


def open_ratings(dag_run: Any = None, ti: Any = None) -> list[AskedOutput]:
    """Check the parameters strictly; the outputs to ask about."""
    from upkeep import reviews
    from upkeep.params import RatingParams

    route = daily.cycle()
    params = effective(dag_run, "rate_outputs", route.fleet_names())
    assert isinstance(params, RatingParams)  # noqa: S101 - for the type; effective_params says so
    [model] = params.models
    try:
        asked = reviews.to_rate(route.store, model, params.day, params.how_many)
    except ParamError as error:
        raise AirflowFailException(str(error)) from error
    n = len(asked.sample_ids)
    ti.xcom_push(key=SAID_KEY, value=[f"{model} {params.day}: {n} outputs to rate"])
    return [
        AskedOutput(
            model=model,
            day=params.day.isoformat(),
            sample_id=name,
            place=f"{place} of {n}",
            criteria=list(asked.criteria),
        )
        for place, name in enumerate(asked.sample_ids, 1)
    ]


class AskRating(HITLEntryOperator):  # type: ignore[misc]  # airflow is Any to mypy
    """Ask one person about one output: the prompt beside it, and the criteria from 1 to 5.

    Nothing is filled in beforehand: an answer that nobody gave is none. Without an answer within
    seven days, or with ``Skip``, there is no rating.
    """

    template_fields: Sequence[str] = ("asked",)

    def __init__(self, *, asked: Any, params: Any = None, **kwargs: Any) -> None:
        """Take what to ask about. ``params`` of the DAG are not shown in the form."""
        del params
        super().__init__(
            subject="How good is this output?",
            options=[SAVE, SKIP],
            defaults=[SKIP],
            response_timeout=ANSWER_WITHIN,
            **{"map_index_template": "{{ upkeep_label or task.asked['place'] }}"}
            | kwargs
            | {"execution_timeout": None},
        )
        self.asked = asked

    def execute(self, context: Any) -> Any:
        """Ask."""
        from upkeep import reviews
        from upkeep.review_text import inert

        asked: AskedOutput = self.asked
        day = date.fromisoformat(asked["day"])
        name_map_index(f"{asked['model']}: {asked['place']}")
        sample = reviews.question(daily.cycle().store, asked["model"], day, asked["sample_id"])
        self.subject = f"{asked['model']}, {asked['day']}: output {asked['place']}"
        self.body = f"**Prompt**\n\n{inert(sample.prompt)}\n\n---\n\n**Output**\n\n" + inert(
            sample.completion
        )
        self.params = ParamsDict(_form(asked["criteria"]))
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Said | None:
        """Hand the answer on, with its author; None where nobody answered."""
        self.params = ParamsDict(_form(self.asked["criteria"]))
        answer = super().execute_complete(context, event)
        user, given = answer["responded_by_user"], answer["params_input"] or {}
        if user is None or answer["chosen_options"] != [SAVE]:
            name_map_index(f"{self.asked['model']}: {self.asked['place']}: not answered")
            return None
        name_map_index(f"{self.asked['model']}: {self.asked['place']}: {user['name']}")
        values = {name: value for name, value in given.items() if value is not None}
        return Said(values=values, by=user["name"], at=answer["responded_at"].isoformat())


def record(asked: AskedOutput, said: Said | None, dag_run: Any = None, ti: Any = None) -> int:
    """Record the answers as ratings, once; how many there are."""
    from upkeep import reviews

    name_map_index(f"{asked['model']}: {asked['place']}")
    store, day = daily.cycle().store, date.fromisoformat(asked["day"])
    if said is None:
        return 0
    known = reviews.offered(store, asked["model"], day)
    if known is None:
        raise AirflowFailException(f"{asked['model']} {day}: offered.json is gone; restore it")
    made = reviews.rate(store, known, asked["sample_id"], dag_run.run_id, _ratings(asked, said))
    words = f"{asked['place']}: {len(made.ratings)} ratings by {plain(said['by'])}"
    ti.xcom_push(key=SAID_KEY, value=[words])
    return len(made.ratings)


def _form(criteria: Sequence[str]) -> dict[str, Param]:
    """One field a criterion, empty, whole numbers from 1 to 5."""
    from upkeep.review_text import SCALE

    return {
        name: Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=5,
            title=name.capitalize(),
            description=text,
        )
        for name, text in SCALE.items()
        if name in criteria
    }


def _ratings(asked: AskedOutput, said: Said) -> list[Rating]:
    from upkeep.records import Rating

    return [
        Rating.model_validate(
            {
                "sample_id": asked["sample_id"],
                "day": asked["day"],
                "criterion": name,
                "value": value,
                "rater": said["by"].strip().lower(),
                "at": said["at"],
                "door": "airflow",
            }
        )
        for name, value in sorted(said["values"].items())
    ]
