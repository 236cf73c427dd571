"""What people say about a model's outputs on a day: asked for, collected once, judged."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import NamedTuple

from upkeep import judgement, measures, reviews
from upkeep.deployment import Deployment
from upkeep.errors import TrackingError
from upkeep.facts import champion_on, serving_version
from upkeep.pictures import images_key, unpack
from upkeep.records import DailyMetrics, Direction, Evaluation, People, SampleScores, sha256_hex
from upkeep.spec import ModelSpec
from upkeep.store import Store, adopt_or_put, get_record, record_key

LOG = logging.getLogger(__name__)


def listen(deployment: Deployment, spec: ModelSpec, day: date) -> People | None:
    """What people said of the window of days that ends with ``day``, recorded once.

    None for a model that nobody is asked about.
    """
    store, model = deployment.store, spec.name
    if spec.reviews is None:
        return None
    known = get_record(store, record_key(model, day, "people"), People)
    if known is not None:
        return known
    days = [day - timedelta(n) for n in range(spec.reviews.window_days - 1, -1, -1)]
    answers = reviews.collect_answers(store, deployment.reviewers(), model, days)
    seen = [seen for d in days if (seen := _seen(store, model, d)) is not None]
    alike = {name: how for one in seen for name, how in one.signatures.items()}  # the newest's
    made = judgement.judge(
        model,
        day,
        spec.reviews,
        answers.ratings,
        {(one.day, name): row for one in seen for name, row in one.measured_as(alike).items()},
        {one.day: one.version for one in seen},
        {name: way for one in seen for name, way in one.directions.items()},
        answers.offered,
    )
    update = {
        "excluded": (*answers.excluded, *made.excluded),
        "flags": (*answers.flags, *made.flags),
    }
    return adopt_or_put(store, record_key(model, day, "people"), made.model_copy(update=update))


def ask(deployment: Deployment, spec: ModelSpec, day: date) -> None:
    """Put some of the day's outputs before people: decided once, told to MLflow as often as needed.

    MLflow being down delays the questions: the next report asks again.
    """
    if spec.reviews is None:
        return
    store, model = deployment.store, spec.name
    samples = reviews.offer(store, model, day, spec.reviews)
    packed = store.get(images_key(model, day)) if spec.quality.modality == "image" else None
    pictures = unpack(images_key(model, day), packed) if packed else {}
    try:
        deployment.reviewers().offer(model, day, samples, spec.reviews.criteria, pictures)
    except TrackingError as error:
        LOG.warning("%s %s: the outputs to rate are not in MLflow yet: %s", model, day, error)


class _Seen(NamedTuple):
    """What the automatic measures gave the outputs of a day."""

    day: date
    version: str
    directions: dict[str, Direction]
    signatures: dict[str, str]
    scores: dict[str, dict[str, float]]

    def measured_as(self, alike: Mapping[str, str]) -> dict[str, dict[str, float]]:
        """The scores of the measures that have these signatures: others do not compare."""
        kept = {name for name, how in self.signatures.items() if alike[name] == how}
        return {
            sample: {name: value for name, value in row.items() if name in kept}
            for sample, row in self.scores.items()
        }


def _seen(store: Store, model: str, day: date) -> _Seen | None:
    found = get_record(store, record_key(model, day, "quality"), Evaluation)
    metrics = get_record(store, record_key(model, day, "metrics"), DailyMetrics)
    if found is None or metrics is None:
        return None
    champion = champion_on(store, model, day)
    version = serving_version(metrics, champion.version if champion else None) or "unknown"
    return _Seen(
        day,
        version,
        {result.measure: result.direction for result in found.results},
        {result.measure: measures.comparable(result.signature) for result in found.results},
        {one.id: dict(one.scores) for one in _scores(store, found)},
    )


def _scores(store: Store, found: Evaluation) -> Iterator[SampleScores]:
    """The scores of each sample; none where the file is not the one that was recorded."""
    data = store.get(found.scores.path) if found.scores else None
    if found.scores is None or data is None or sha256_hex(data) != found.scores.sha256:
        return
    for line in data.splitlines():
        yield SampleScores.model_validate(json.loads(line))
