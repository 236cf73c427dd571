"""Specifications and days for the sources that ask a cloud service."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from upkeep.credentials import Credentials, from_environment
from upkeep.records import DailyMetrics
from upkeep.sources import Asked
from upkeep.sources.hourly import Hours
from upkeep.sources.points import HOUR_S, Window
from upkeep.sources.service_metrics import STATISTICS, ServiceDay
from upkeep.sources.service_sum import added
from upkeep.spec import ModelSpec

DAY = date(2026, 3, 5)
START = datetime.combine(DAY, time(), UTC)
NOON_AFTER = START + timedelta(hours=36)
HOURS = range(24)
QUANTILES = dict(zip(STATISTICS, (100.0, 200.0, 300.0, 400.0, 150.0, 10.0), strict=True))


def service_spec(*sources: dict[str, Any]) -> ModelSpec:
    """Give a model's specification with these sources; 1 USD an hour."""
    return ModelSpec.model_validate(
        {
            "name": "talker",
            "sources": list(sources),
            "prices": [{"since": date(2026, 1, 1), "usd_per_hour": 1.0}],
            "policy": {"version": "test", "measures": {}, "rules": []},
        }
    )


def asked_for(spec: ModelSpec, credentials: Credentials | None = None, day: date = DAY) -> Asked:
    """Ask for a day, at noon of the day after."""
    noon = datetime.combine(day, time(12), UTC) + timedelta(days=1)
    return Asked(spec, day, lambda *_: None, credentials or from_environment({}), lambda: noon)


def window() -> Window:
    """Give the day as sources see it."""
    return Window.of(DAY, NOON_AFTER)


def hourly(value: Any, hours: Iterable[int] = HOURS) -> list[tuple[float, Any]]:
    """Give one point at the start of each hour; ``value`` may be a function of the hour."""
    return [
        (START.timestamp() + hour * HOUR_S, value(hour) if callable(value) else value)
        for hour in hours
    ]


def day_of(*, prefix: str = "") -> ServiceDay:
    """Give a resource's day with nothing in it."""
    return ServiceDay(Hours("test"), window(), prefix)


def metrics_of(*days: ServiceDay) -> DailyMetrics:
    """Give the record of these resources' day."""
    spec = service_spec({"kind": "google_monitoring", "project": "project-one", "labels": {}})
    return added("test", days).metrics(spec, DAY)


def said(values: dict[str, Any], hours: Any = (0,)) -> dict[str, Any]:
    """Give each statistic's points: its value in each of these hours."""
    return {name: hourly(value, hours) for name, value in values.items()}
