"""The first door of people's ratings: MLflow's review queue of a model, filled once a day.

One trace an output, in the model's experiment; one question a criterion; one queue a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, get_args

from upkeep.errors import TrackingError
from upkeep.projection import DAY_MS, day_start_ms
from upkeep.records import Criterion, Excluded, Rating, Sample
from upkeep.review_text import SCALE
from upkeep.tracking_client import BUDGET_S, Mlflow, Refused
from upkeep.tracking_experiment import ensure_experiment, experiment_name
from upkeep.tracking_output import TAG, OutputView, make_traces, trace_id_of

CHOICES = ("1", "2", "3", "4", "5")
PAGE = 500
NONE: Mapping[str, bytes] = MappingProxyType({})


class Reviews:
    """The review queues of one MLflow server."""

    def __init__(self, uri: str, budget_s: float = BUDGET_S) -> None:
        """Nothing is imported or asked before the first call."""
        self.uri, self._budget_s = uri, budget_s

    def offer(
        self,
        model: str,
        day: date,
        samples: Sequence[Sample],
        criteria: Sequence[Criterion],
        pictures: Mapping[str, bytes] = NONE,
    ) -> int:
        """Put outputs of a day into the model's queue; how many were not there before.

        Offering again adds nothing, and finishes what a try that died left undone.

        Raises:
            TrackingError: MLflow cannot be reached or refused; call again.

        """
        if not samples:
            return 0
        mlflow = Mlflow(self.uri, self._budget_s)
        experiment = ensure_experiment(mlflow, model)
        views = [OutputView.of(experiment, model, day, sample, pictures) for sample in samples]
        known = {i.trace_id for i in _infos(mlflow, experiment, model, (day, day))}
        missing = [view for view in views if view.trace_id not in known]
        make_traces(mlflow, experiment, day, missing)
        queue = _ensure_queue(mlflow, experiment, model, criteria)
        ids = [view.trace_id for view in views]
        mlflow.call_store("add_items_to_review_queue", queue, item_ids=ids)
        return len(missing)

    def answers(
        self, model: str, days: tuple[date, date], criteria: Sequence[Criterion]
    ) -> tuple[list[Rating], list[Excluded]]:
        """What people said about outputs of the days from ``days[0]`` to ``days[1]``.

        An answer is a valid feedback of a human source, named as a criterion, of 1 to 5. What
        is none of that is counted with its reason. An answer that was changed or deleted in
        MLflow is the one that stands there now.

        Raises:
            TrackingError: MLflow cannot be reached or refused.

        """
        mlflow = Mlflow(self.uri, self._budget_s)
        found = mlflow.call("get_experiment_by_name", experiment_name(model))
        if found is None:
            return [], []
        experiment = str(found.experiment_id)
        ratings: list[Rating] = []
        reasons: Counter[str] = Counter()
        for info in _infos(mlflow, experiment, model, days):
            place = _place(experiment, info)
            if place is None:
                continue
            for said in info.assessments:
                read = _rating(said, *place, criteria)
                if isinstance(read, Rating):
                    ratings.append(read)
                elif read is not None:
                    reasons[read] += 1
        what = "assessments in MLflow"
        excluded = [Excluded(what=what, n=n, reason=why) for why, n in sorted(reasons.items())]
        return ratings, excluded


# ---------------------------------------------------------------------- the queue


def _ensure_queue(
    mlflow: Mlflow, experiment: str, model: str, criteria: Sequence[Criterion]
) -> str:
    """The id of the queue that asks these criteria.

    MLflow freezes a queue's questions once it holds a trace: other criteria get another queue.
    """
    wanted = _ensure_questions(mlflow, experiment, criteria)
    asked = ", ".join(criteria)
    for name in (f"upkeep {model}", f"upkeep {model}: {asked}"):
        queue = _queue(mlflow, experiment, name, wanted)
        if set(queue.schema_ids) == set(wanted):
            return str(queue.queue_id)
    raise TrackingError(
        f"MLflow at {mlflow.uri}: the queue 'upkeep {model}: {asked}' asks something else; "
        "delete it or give it back its questions"
    )


def _queue(mlflow: Mlflow, experiment: str, name: str, questions: Sequence[str]) -> Any:
    try:
        return mlflow.call_store(
            "create_review_queue",
            experiment,
            name=name,
            queue_type="custom",
            schema_ids=list(questions),
        )
    except Refused as refused:
        if refused.code != "RESOURCE_ALREADY_EXISTS":
            raise
    return mlflow.call_store("get_review_queue_by_name", experiment, name=name)


def _ensure_questions(mlflow: Mlflow, experiment: str, criteria: Sequence[Criterion]) -> list[str]:
    """The ids of the questions, in the criteria's order.

    The page shows the newest question first, so the last criterion is made first.
    """
    from mlflow.genai.label_schemas import InputCategorical

    ids: dict[Criterion, str] = {}
    for criterion in sorted(criteria, key=get_args(Criterion).index, reverse=True):
        try:
            made = mlflow.call_store(
                "create_label_schema",
                experiment,
                name=criterion,
                type="feedback",
                input=InputCategorical(list(CHOICES)),
                instruction=SCALE[criterion],
            )
        except Refused as refused:
            if refused.code != "RESOURCE_ALREADY_EXISTS":
                raise
            made = mlflow.call_store("get_label_schema_by_name", experiment, criterion)
        ids[criterion] = str(made.schema_id)
    return [ids[criterion] for criterion in criteria]


# ---------------------------------------------------------------------- the answers


def _infos(mlflow: Mlflow, experiment: str, model: str, days: tuple[date, date]) -> Iterator[Any]:
    """The traces of Upkeep's outputs of these days, page by page."""
    first, end = day_start_ms(days[0]), day_start_ms(days[1]) + DAY_MS
    where = f"timestamp_ms >= {first} AND timestamp_ms < {end} AND tags.`{TAG}` LIKE '{model}/%'"
    token = None
    while True:
        infos, token = mlflow.call_store(
            "search_traces",
            locations=[experiment],
            filter_string=where,
            max_results=PAGE,
            page_token=token,
        )
        yield from infos
        if not token:
            return


def _place(experiment: str, info: Any) -> tuple[date, str] | None:
    """The day and the sample that a trace shows; None where it is no trace that Upkeep made."""
    key = info.tags.get(TAG, "")
    if info.trace_id != trace_id_of(experiment, key):
        return None
    _, day, sample_id = key.split("/", 2)
    return date.fromisoformat(day), sample_id


def _rating(
    said: Any, day: date, sample_id: str, criteria: Sequence[Criterion]
) -> Rating | str | None:
    """The rating that an assessment is, or in words why it is none; None where it was replaced."""
    if said.valid is False:
        return None
    if said.feedback is None or said.source.source_type != "HUMAN":
        return "no feedback of a person"
    criterion = next((c for c in criteria if c == said.name), None)
    if criterion is None:
        return "its name is no criterion of this model"
    value, rater = _value(said.feedback.value), (said.source.source_id or "").strip().lower()
    if value is None:
        return "its value is not a whole number from 1 to 5"
    if not rater:
        return "nobody is named as its author"
    return Rating(
        sample_id=sample_id,
        day=day,
        criterion=criterion,
        value=value,
        rater=rater,
        at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=said.last_update_time_ms),
        door="mlflow",
    )


def _value(value: object) -> int | None:
    """The choice as a number: MLflow keeps what was chosen as text, and numbers as floats."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return int(text) if text in CHOICES and not isinstance(value, bool) else None
