"""What a day cost, by the model's table of prices: busy hours (decision 4), or the clock's."""

from __future__ import annotations

import math
from collections.abc import Iterator

from upkeep.records import DailyMetrics, HourMetrics
from upkeep.spec import ModelSpec, Price

DAY_HOURS = 24


def priced(spec: ModelSpec, metrics: DailyMetrics) -> DailyMetrics:
    """The day with its costs, in total and per 1,000 generations that ended well.

    cost = hours x ``usd_per_hour`` + tokens / 1000 x the price of each kind of token. The hours
    are busy ones, or 24 for each of the price's ``machines``. A price whose quantity was not
    collected leaves the cost unknown. More busy hours than a day has are flagged.
    """
    price = spec.price_on(metrics.day)
    if price is None:
        return metrics
    cost = cost_usd(price, DAY_HOURS, metrics.busy_s, metrics.tokens_in, metrics.tokens_out)
    return metrics.model_copy(
        update={
            "price_usd_per_hour": price.usd_per_hour,
            "cost_usd": cost,
            "cost_usd_per_1k": _per_1k(cost, metrics),
            "hours": tuple(_hour(price, hour) for hour in metrics.hours),
            "flags": (*metrics.flags, *_overlap(price, metrics)),
        }
    )


def cost_usd(
    price: Price,
    hours: int,
    busy_s: float | None,
    tokens_in: int | None,
    tokens_out: int | None,
) -> float | None:
    """The cost of the work of some hours, or None where a quantity that is paid for is unknown.

    A price without any rate prices nothing: that is unknown too, and never 0.
    """
    total: float | None = None
    for rate, quantity in (
        (price.usd_per_hour, _paid_hours(price, hours, busy_s)),
        (price.usd_per_1k_tokens_in, None if tokens_in is None else tokens_in / 1000),
        (price.usd_per_1k_tokens_out, None if tokens_out is None else tokens_out / 1000),
    ):
        if rate is None:
            continue
        if quantity is None:
            return None
        total = (total or 0.0) + quantity * rate
    return total


def _paid_hours(price: Price, hours: int, busy_s: float | None) -> float | None:
    if price.machines is not None:
        return float(hours * price.machines)
    return None if busy_s is None else busy_s / 3600


def _overlap(price: Price, metrics: DailyMetrics) -> Iterator[str]:
    busy_hours = (metrics.busy_s or 0.0) / 3600
    if price.usd_per_hour is not None and price.machines is None and busy_hours > DAY_HOURS:
        yield (
            f"{busy_hours:.1f} busy hours in a day of 24: requests overlap, or several machines "
            "serve; set machines: in prices to pay by the clock"
        )


def _hour(price: Price, hour: HourMetrics) -> HourMetrics:
    cost = cost_usd(price, 1, hour.busy_s, hour.tokens_in, hour.tokens_out)
    return hour.model_copy(update={"cost_usd": cost})


def _per_1k(cost: float | None, metrics: DailyMetrics) -> float | None:
    """Over the requests that ended well; None over none, and where a number is unknown."""
    failed = (metrics.generation_errors, metrics.api_errors)
    if cost is None or metrics.requests is None or None in failed:
        return None
    well = metrics.requests - sum(n for n in failed if n is not None)
    quotient = cost * 1000 / well if well > 0 else math.inf
    return quotient if math.isfinite(quotient) else None
