"""What a day cost, by the model's table of prices (decision 4: the hour is a busy hour)."""

from __future__ import annotations

import math

from upkeep.records import DailyMetrics, HourMetrics
from upkeep.spec import ModelSpec, Price


def priced(spec: ModelSpec, metrics: DailyMetrics) -> DailyMetrics:
    """The day with its costs, in total and per 1,000 generations that ended well.

    cost = busy hours x ``usd_per_hour`` + tokens / 1000 x the price of each kind of token. A
    price whose quantity was not collected leaves the cost unknown.
    """
    price = spec.price_on(metrics.day)
    if price is None:
        return metrics
    cost = cost_usd(price, metrics.busy_s, metrics.tokens_in, metrics.tokens_out)
    return metrics.model_copy(
        update={
            "price_usd_per_hour": price.usd_per_hour,
            "cost_usd": cost,
            "cost_usd_per_1k": _per_1k(cost, metrics),
            "hours": tuple(_hour(price, hour) for hour in metrics.hours),
        }
    )


def cost_usd(
    price: Price, busy_s: float | None, tokens_in: int | None, tokens_out: int | None
) -> float | None:
    """The cost of some work, or None where a quantity that is paid for is unknown.

    A price without any rate prices nothing: that is unknown too, and never 0.
    """
    total: float | None = None
    for rate, quantity in (
        (price.usd_per_hour, None if busy_s is None else busy_s / 3600),
        (price.usd_per_1k_tokens_in, None if tokens_in is None else tokens_in / 1000),
        (price.usd_per_1k_tokens_out, None if tokens_out is None else tokens_out / 1000),
    ):
        if rate is None:
            continue
        if quantity is None:
            return None
        total = (total or 0.0) + quantity * rate
    return total


def _hour(price: Price, hour: HourMetrics) -> HourMetrics:
    cost = cost_usd(price, hour.busy_s, hour.tokens_in, hour.tokens_out)
    return hour.model_copy(update={"cost_usd": cost})


def _per_1k(cost: float | None, metrics: DailyMetrics) -> float | None:
    """Over the requests that ended well; None over none, and where a number is unknown."""
    failed = (metrics.generation_errors, metrics.api_errors)
    if cost is None or metrics.requests is None or None in failed:
        return None
    well = metrics.requests - sum(n for n in failed if n is not None)
    quotient = cost * 1000 / well if well > 0 else math.inf
    return quotient if math.isfinite(quotient) else None
