"""The experiment of a model, and how MLflow's page of it shows the days.

MLflow's list of runs shows no tags until somebody picks them. A *shared view* picks them: it is an
experiment tag that the page reads when its address names it, so the experiment's description
links to it.
"""

from __future__ import annotations

import json
from typing import Any

from upkeep.errors import TrackingError
from upkeep.tracking_client import Mlflow, Refused

VIEW = "days"
KIND = "custom_model_development"
ML = "workflowType=machine_learning"  # the page opens in its GenAI mode otherwise
WIDTHS_PX = {
    "tags.`upkeep.action`": 115,
    "tags.`upkeep.cause`": 125,
    "metrics.`perplexity`": 90,
    "metrics.`cost_usd_per_1k`": 125,
    "metrics.`latency_p95_ms`": 120,
    "metrics.`requests`": 85,
    "tags.`upkeep.champion`": 130,
    "tags.`upkeep.outcome`": 230,
    "tags.`upkeep.drifted`": 260,
}


def experiment_name(model: str) -> str:
    """The name of a model's experiment."""
    return f"upkeep/{model}"


def ensure_experiment(mlflow: Mlflow, model: str) -> str:
    """The id of the model's experiment, made if there is none."""
    name = experiment_name(model)
    found = mlflow.call("get_experiment_by_name", name)
    if found is None:
        found = _create(mlflow, name)
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"MLflow at {mlflow.uri}: experiment {name} is deleted; bring it back: "
            f"mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return str(found.experiment_id)


def _create(mlflow: Mlflow, name: str) -> Any:
    try:
        mlflow.call("create_experiment", name, tags={"mlflow.experimentKind": KIND})
    except Refused as refused:
        if refused.code != "RESOURCE_ALREADY_EXISTS":
            raise
    return mlflow.call("get_experiment_by_name", name)


def describe_experiment(
    mlflow: Mlflow, experiment_id: str, model: str, timeline_id: str, *, is_rated: bool
) -> None:
    """Write the experiment's description and its view of the days, where they differ.

    ``is_rated``: people are asked about the model's outputs, and find the queue from here.
    """
    known = mlflow.call("get_experiment", experiment_id).tags
    for name, value in _tags(experiment_id, model, timeline_id, is_rated=is_rated).items():
        if known.get(name) != value:
            mlflow.call("set_experiment_tag", experiment_id, name, value)


def _tags(experiment_id: str, model: str, timeline_id: str, *, is_rated: bool) -> dict[str, str]:
    here = f"#/experiments/{experiment_id}"
    queue = f" · [Outputs to rate]({here}/review-queue?workflowType=genai)" if is_rated else ""
    view = {
        "selectedColumns": list(WIDTHS_PX),
        "columnOrder": list(WIDTHS_PX),
        "columnWidths": WIDTHS_PX,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
    }
    return {
        "mlflow.sharedViewState." + VIEW: json.dumps(view),
        "mlflow.note.content": (
            f"**{model}**: one run a day. "
            f"[Days with their decisions]({here}/runs?{ML}&viewStateShareKey={VIEW}) · "
            f"[Timeline]({here}/runs/{timeline_id}/model-metrics?{ML}) · "
            f"[Versions](#/models/{model}?{ML}){queue}\n\n"
            "Filter: `tags.upkeep.action = 'retrain'`."
        ),
    }
