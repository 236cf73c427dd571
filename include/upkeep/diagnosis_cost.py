"""What made the day dearer: the price, the volume, or the machine time of a request. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from upkeep.diagnosis_signs import Explanation, Signs, said
from upkeep.records import CostSplit, DriftResult

PER_1K = 1000.0
LEAST_PART = 0.02


def price_causes(signs: Signs) -> Iterator[Explanation]:
    """``price``: what a dearer machine makes of the higher cost."""
    price, harmed = signs.get("price_usd_per_hour"), signs.of("money")
    if price is None or not harmed or not signs.moved("price_usd_per_hour", 1):
        return
    part = price_part(signs)
    if part > LEAST_PART:
        words = f"{_factors(signs)}; {said([price, *_cost(signs)])}"
        yield Explanation("price", {"money": part}, words)


def price_part(signs: Signs) -> float:
    """The part (0 to 1) of the rise of cost that the price makes: a ratio of logarithms."""
    if not signs.moved("price_usd_per_hour", 1):
        return 0.0
    if not _cost(signs):
        return 1.0
    by_price, cost = signs.change("price_usd_per_hour"), signs.change("cost_usd_per_1k")
    return min(1.0, by_price / cost) if cost > 0.0 else 0.0


def _cost(signs: Signs) -> list[DriftResult]:
    return [r for r in signs.of("money") if r.measure == "cost_usd_per_1k"]


def idle_causes(signs: Signs) -> Iterator[Explanation]:
    """``traffic_volume``: fewer requests share what machines cost by the clock."""
    cost = _cost(signs)
    if not cost or not signs.moved("requests", -1) or signs.of("latency"):
        return
    part = min(1.0, -signs.change("requests") / max(signs.change("cost_usd_per_1k"), 1e-9))
    requests = signs.get("requests")
    words = "fewer requests share the cost of the machines: "
    words += said([*([requests] if requests else []), *cost])
    yield Explanation("traffic_volume", {"money": part * (1.0 - price_part(signs))}, words)


def _factors(signs: Signs) -> str:
    """The day's cost as price x efficiency x volume: logarithms of the factors add up."""
    by_price = signs.change("price_usd_per_hour")
    by_efficiency = signs.change("cost_usd_per_1k") - by_price if _known_cost(signs) else 0.0
    by_volume = signs.change("requests")
    total = by_price + by_efficiency + by_volume
    return (
        f"the day's cost changed x{math.exp(total):.2f} = price x{math.exp(by_price):.2f}, "
        f"machine time a request x{math.exp(by_efficiency):.2f}, "
        f"volume x{math.exp(by_volume):.2f}"
    )


def _known_cost(signs: Signs) -> bool:
    return signs.known("cost_usd_per_1k")


# ---------------------------------------------------------------- in USD


def cost_split(signs: Signs) -> CostSplit | None:
    """The change of the day's cost in USD, split into price, volume and efficiency.

    Cost C = volume V (requests that ended well) x efficiency E (machine hours a request) x
    price P (USD an hour). Additive LMDI-I (Ang 2004, Energy Policy 32:1131): the part of a
    factor x is L(C1, C0) * ln(x1 / x0), L(a, b) = (a - b) / ln(a / b), and nothing is left over.
    The baseline day is the product of the baselines' factors. None where cost or volume are not
    known; without a price, price and efficiency are None.
    """
    unit, price = signs.get("cost_usd_per_1k"), signs.get("price_usd_per_hour")
    volumes = _volumes(signs)
    if unit is None or unit.baseline is None or unit.current is None or volumes is None:
        return None
    before, after = volumes[0] * unit.baseline / PER_1K, volumes[1] * unit.current / PER_1K
    if min(before, after, *volumes) <= 0.0:
        return None
    weight = log_mean(after, before)
    by_volume = weight * math.log(volumes[1] / volumes[0])
    by_price = None
    if price is not None and price.baseline and price.current:
        by_price = weight * math.log(price.current / price.baseline)
    return split_of(before, after, by_volume, by_price)


def split_of(before: float, after: float, by_volume: float, by_price: float | None) -> CostSplit:
    """The record of a split; efficiency is what is left of the change."""
    change = after - before
    rest = change - by_volume
    places = 3 - math.floor(math.log10(max(before, after)))

    def usd(part: float) -> str:
        return f"{round(part, places) + 0.0:+.4g}"

    words = f"the day cost {after:.4g} USD against {before:.4g}: {usd(change)} USD, of which "
    if by_price is None:
        words += f"volume {usd(by_volume)}; price and efficiency together {usd(rest)}"
    else:
        rest -= by_price
        words += f"price {usd(by_price)}, volume {usd(by_volume)}, efficiency {usd(rest)}"
    return CostSplit(
        baseline_usd=before,
        current_usd=after,
        change_usd=change,
        price_usd=by_price,
        volume_usd=by_volume,
        efficiency_usd=None if by_price is None else rest,
        words=words,
    )


def log_mean(a: float, b: float) -> float:
    """The logarithmic mean (a - b) / ln(a / b) of two positive numbers; a where they are equal."""
    ratio = math.log(a / b)
    return b * math.expm1(ratio) / ratio if ratio else a


def _volumes(signs: Signs) -> tuple[float, float] | None:
    """The requests that ended well, at the baseline and today."""
    requests, errors = signs.get("requests"), signs.get("error_rate")
    if requests is None or errors is None:
        return None
    known = (requests.baseline, requests.current, errors.baseline, errors.current)
    before, after, failed_before, failed_after = known
    if before is None or after is None or failed_before is None or failed_after is None:
        return None
    return before * (1.0 - failed_before), after * (1.0 - failed_after)
