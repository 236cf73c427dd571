"""What production did on a day and whether it can be believed: collected, and looked at again."""

from __future__ import annotations

import logging
from datetime import date, timedelta

from upkeep import late, sources, validation
from upkeep.deployment import Deployment
from upkeep.errors import ConfigError, SourceError
from upkeep.pictures import images_key, pack
from upkeep.records import DailyMetrics, DayOpen, Revision, ValidationResult
from upkeep.samples import Quarantine, put_samples, samples_key
from upkeep.spec import ModelSpec, spec_of
from upkeep.store import adopt_or_put, get_record, record_key

LOG = logging.getLogger(__name__)


def observe(deployment: Deployment, spec: ModelSpec, day: date) -> ValidationResult:
    """Collect the day and judge it, once; its records are adopted afterwards."""
    store, model = deployment.store, spec.name
    known = get_record(store, record_key(model, day, "validation"), ValidationResult)
    if known is not None:
        return known
    collected = sources.collect(_asked(deployment, spec, day))
    put_samples(store, samples_key(model, day), collected.samples)
    if spec.quality.modality == "image":
        store.put_if_absent(images_key(model, day), pack(collected.images))
    metrics = adopt_or_put(store, record_key(model, day, "metrics"), collected.metrics)
    result, document = validation.validate(spec, metrics, _history(deployment, spec, day))
    store.put_if_absent(f"{model}/{day.isoformat()}/r1/great-expectations.json", document)
    return adopt_or_put(store, record_key(model, day, "validation"), result)


def look_back(deployment: Deployment, spec: ModelSpec, day: date) -> list[Revision]:
    """Look again at the ``late_days`` days before, oldest first; what changed of them.

    A day is read by the specification that it was opened with, so that a price or a source
    which changed since makes no revision.

    A source that cannot be read now leaves them as they are: they are looked at again
    tomorrow, and the day's own reading says what is wrong.
    """
    found: list[Revision] = []
    for past in late_days(spec, day):
        opened = get_record(deployment.store, record_key(spec.name, past, "open"), DayOpen)
        if opened is None or late.first(deployment.store, spec.name, past) is None:
            continue
        try:
            revision = _look_again(deployment, spec_of(opened), past)
        except (SourceError, ConfigError) as error:
            LOG.warning("%s %s could not be looked at again: %s", spec.name, past, error)
            continue
        found += [revision] if revision else []
    return found


def late_days(spec: ModelSpec, day: date) -> list[date]:
    """The days whose data may still come, oldest first."""
    return [day - timedelta(back) for back in range(spec.trust.late_days, 0, -1)]


def _look_again(deployment: Deployment, spec: ModelSpec, day: date) -> Revision | None:
    def judge(metrics: DailyMetrics) -> ValidationResult:
        return validation.validate(spec, metrics, _history(deployment, spec, day))[0]

    seen = sources.collect(_asked(deployment, spec, day)).metrics
    return late.look_again(deployment.store, seen, judge)


def _asked(deployment: Deployment, spec: ModelSpec, day: date) -> sources.Asked:
    quarantine = Quarantine(deployment.store, spec.name, day)
    return sources.Asked(spec, day, quarantine, deployment.credentials)


def _history(deployment: Deployment, spec: ModelSpec, day: date) -> list[DailyMetrics]:
    """The days of the baseline as they were first seen: a day is judged the same at any time."""
    days = [day - timedelta(n) for n in range(spec.policy.baseline.days, 0, -1)]
    keys = (record_key(spec.name, d, "metrics") for d in days)
    found = (get_record(deployment.store, key, DailyMetrics) for key in keys)
    return [m for m in found if m is not None]
