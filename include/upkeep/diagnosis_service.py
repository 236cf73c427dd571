"""Why requests were slow, dear or failed: load, work, machines, a leak, upstream. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from upkeep.diagnosis_cost import price_part
from upkeep.diagnosis_load import (
    LABOURED,
    QUEUED,
    SATURATED,
    Slowness,
    decode,
    laboured,
    network_odd,
    slowness_of,
)
from upkeep.diagnosis_signs import Explanation, Signs, moved, said, slowness
from upkeep.records import Bottleneck, DriftResult
from upkeep.stats import robust_location_scale

LEAST_PART = 0.02
MEMORY_FULL = 0.9
LONGER_PROMPTS = ("prompt_chars_mean", "tokens_in_mean")
LONGER_ANSWERS = ("tokens_out_mean",)
COMPUTE = ("gpu_share", "ms_per_token_out")
UNTOLD = 0.2  # how the GPUs fared is known, and nothing is odd: hardly the machines
HALF = 0.5
LEAK_SHARE = 0.05  # of the memory, grown in a day
LEAK_SDS, LEAK_DAYS = 3.0, 5
PER_1K = 1000.0


class Waiting(NamedTuple):
    """What the machines wait for, in words."""

    bottleneck: Bottleneck
    words: str


class _Errors(NamedTuple):
    """The errors that drifted, and which part of their rise the API around the model makes."""

    harmed: list[DriftResult]
    api: float


def service_causes(signs: Signs) -> Iterator[Explanation]:
    """``traffic_volume``, ``workload``, ``infrastructure``, ``memory_leak``, ``upstream_errors``.

    Slowness is parted by :mod:`upkeep.diagnosis_load`; money follows it where the price does
    not explain it. Failed requests are upstream's if the API's own errors rose, and the
    machines' if the model's did and memory was full, or the service slow.
    """
    found, errors = slowness_of(signs), _errors(signs)
    time = found or Slowness([], 0.0, 0.0, 0.0, 0.0, 0.0)
    yield from _volume(signs, time, errors)
    yield from _workload(signs, time)
    leak = memory_leak(signs)
    if leak is not None and (time.log or errors.harmed or signs.of("resources")):
        yield _leak(leak, time, errors, signs)
    yield from _infrastructure(signs, time, errors, leaks=leak is not None)
    yield from _upstream(signs, time, errors)


def _time_and_money(signs: Signs, part: float) -> dict[str, float]:
    """A part of the slowness, and of the cost that neither price nor failures explain."""
    rest = max(0.0, 1.0 - price_part(signs) - _failed_money(signs))
    parts = {"latency": part} if signs.of("latency") else {}
    return parts | ({"money": part * rest} if signs.of("money") and rest > LEAST_PART else {})


# ---------------------------------------------------------------- load and work


def _volume(signs: Signs, time: Slowness, errors: _Errors) -> Iterator[Explanation]:
    harmed = [r for r in signs.of("traffic") if r.measure == "requests"]
    if time.load <= LEAST_PART and not harmed:
        return
    parts = _time_and_money(signs, time.load) | ({"traffic": 1.0} if harmed else {})
    if errors.harmed and _overloaded(signs, time):
        parts["errors"] = time.load
    yield Explanation("traffic_volume", parts, volume_words(signs, said(time.slow)))


def _overloaded(signs: Signs, time: Slowness) -> bool:
    """Whether the load slowed requests on GPUs that are full, so that some must fail."""
    gpu = signs.get("gpu_share")
    full = gpu is None or gpu.current is None or gpu.current >= SATURATED
    return full and time.load > HALF


def volume_words(signs: Signs, also: str = "") -> str:
    """What the volume did, and what with it."""
    requests = signs.get("requests")
    words = requests.words if requests is not None else "requests are not known"
    gpu = signs.get("gpu_share")
    carried = gpu is not None and moved(gpu)
    parts = [words, *([gpu.words] if gpu is not None and carried else []), *([also] * bool(also))]
    return f"the volume changed: {'; '.join(parts)}"


def _workload(signs: Signs, time: Slowness) -> Iterator[Explanation]:
    """Longer prompts are the users', longer answers may be a new version's."""
    harmed = [r for r in signs.of("traffic") if r.measure != "requests"]
    asked = {LONGER_PROMPTS: (time.prompts, False), LONGER_ANSWERS: (time.answers, True)}
    for names, (part, of_model) in asked.items():
        own = {"traffic": 1.0} if any(r.measure in names for r in harmed) else {}
        if part <= LEAST_PART and not own:
            continue
        grown = [r for n in names if signs.moved(n, 1) and (r := signs.get(n))]
        slow = [r for r in signs.of("latency", "money") if r.measure != "price_usd_per_hour"]
        words = f"each request asks for more: {said([*grown, *slow])}"
        parts = _time_and_money(signs, part) | own
        yield Explanation("workload", parts, words, of_model=of_model)


# ---------------------------------------------------------------- the machines


def _infrastructure(
    signs: Signs, time: Slowness, errors: _Errors, *, leaks: bool
) -> Iterator[Explanation]:
    waiting = bottleneck(signs)
    told = waiting is not None or not any(signs.known(n) for n in COMPUTE)
    full = waiting is not None and waiting.bottleneck == "memory"
    part = time.rest * (1.0 if told else UNTOLD) * (HALF if leaks else 1.0) if time.slow else 0.0
    parts = _time_and_money(signs, part) if part > LEAST_PART else {}
    if errors.harmed and (full or part > HALF):
        parts["errors"] = (1.0 - errors.api) * (1.0 if full and not leaks else HALF)
    if signs.of("resources"):
        parts["resources"] = HALF if leaks else 1.0
    if not any(parts.values()):
        return
    also = " (prompts changed their length too)" if signs.moved("prompt_chars_mean") else ""
    machine = f", waiting for {waiting.bottleneck} ({waiting.words})" if waiting else ""
    more = "more than the load and the work explain" if time.load else "without more traffic"
    harmed = signs.of("latency", "resources") or time.slow or errors.harmed
    words = f"slower {more}{also}{machine}: {said(harmed)}"
    named = waiting.bottleneck if waiting is not None else None
    yield Explanation("infrastructure", parts, words, named, of_model=True)


def bottleneck(signs: Signs) -> Waiting | None:
    """What the machines wait for; None where no sign tells.

    *memory*: its highest share rose and is near full; *gpu*: the GPUs work longer for the same
    work, or each token takes longer; *network*: its bytes left what the requests ask for;
    *queue*: the first token waits while the tokens after it come as fast as before.
    """
    for found in (_memory(signs), _network(signs), _gpu(signs), _queue(signs)):
        if found is not None:
            return found
    return None


def _memory(signs: Signs) -> Waiting | None:
    for name in ("gpu_memory_share_high", "host_memory_share_high"):
        result = signs.get(name)
        full = result is not None and (result.current or 0.0) >= MEMORY_FULL
        if result is not None and full and signs.moved(name, 1):
            return Waiting("memory", result.words)
    return None


def _network(signs: Signs) -> Waiting | None:
    result = signs.get("network_bytes_per_s")
    return Waiting("network", result.words) if result is not None and network_odd(signs) else None


def _gpu(signs: Signs) -> Waiting | None:
    slower, busier = signs.get("ms_per_token_out"), signs.get("gpu_share")
    if slower is not None and decode(signs):
        return Waiting("gpu", slower.words)
    if busier is not None and laboured(signs) > LABOURED:
        return Waiting("gpu", busier.words)
    return None


def _queue(signs: Signs) -> Waiting | None:
    first, token = signs.get("ttft_p95_ms"), signs.get("ms_per_token_out")
    if first is None or token is None or token.effect is None or not signs.moved(first.measure, 1):
        return None
    slower = max([slowness(r) for r in signs.of("latency")], default=0.0)
    if slowness(first) < QUEUED * slower:
        return None
    return Waiting("queue", f"{first.words}, while {token.words}")


# ---------------------------------------------------------------- a memory that grows


def memory_leak(signs: Signs) -> str | None:
    """Why memory leaks, in words; None where it does not.

    A leak grows with every request: the day's Theil-Sen slope is above 0 at 95 %, it is beyond
    what the model's own days show, and it fills at least ``LEAK_SHARE`` of the memory in a day.
    """
    requests = signs.facts.current.value("requests") or 0.0
    for kind in ("gpu", "host"):
        name = f"{kind}_memory_growth_per_1k"
        today, usual = signs.facts.current.measure(name), _usual(signs, name)
        if usual is None or today is None or today.value is None or today.interval is None:
            continue
        a_day, span = today.value * requests / PER_1K, today.interval
        unusual = today.value - usual[0] >= LEAK_SDS * usual[1]
        if span.low > 0.0 and unusual and a_day >= LEAK_SHARE:
            return (
                f"{kind} memory grew by {today.value:.2%} of it per 1,000 requests "
                f"({span.low:.2%} to {span.high:.2%}), {a_day:.0%} in the day; usual is "
                f"{usual[0]:.2%}"
            )
    return None


def _usual(signs: Signs, name: str) -> tuple[float, float] | None:
    """Median and robust standard deviation of the model's own days; None for too few."""
    history = signs.facts.history
    series = history.get(name)
    values = zip(series.values, history.trusted, strict=True) if series else ()
    known = [v for v, trusted in values if v is not None and trusted]
    return robust_location_scale(known, floor=0.0) if len(known) >= LEAK_DAYS else None


def _leak(words: str, time: Slowness, errors: _Errors, signs: Signs) -> Explanation:
    parts = _time_and_money(signs, 1.0 - time.load if time.log else 0.0)
    if errors.harmed:
        parts["errors"] = 1.0 - errors.api
    if signs.of("resources"):
        parts["resources"] = 1.0
    return Explanation("memory_leak", parts, f"{words}; {said(signs.harm)}", "memory")


# ---------------------------------------------------------------- requests that fail


def _errors(signs: Signs) -> _Errors:
    harmed = signs.of("errors")
    api, model = (_rise(signs, n) for n in ("api_error_rate", "generation_error_rate"))
    if api is None and model is None:
        return _Errors(harmed, 1.0)
    total = (api or 0.0) + (model or 0.0)
    return _Errors(harmed, (api or 0.0) / total if total > 0.0 else 0.0)


def _rise(signs: Signs, name: str) -> float | None:
    result = signs.get(name)
    if result is None or result.current is None or result.baseline is None:
        return None
    return max(0.0, result.current - result.baseline)


def _failed_money(signs: Signs) -> float:
    """The part of the dearer request that failures make: cost is per request that ended well."""
    errors, cost = signs.get("error_rate"), signs.change("cost_usd_per_1k")
    if not signs.of("errors", "money") or errors is None or cost <= 0.0:
        return 0.0
    before, after = errors.baseline, errors.current
    if before is None or after is None or not before < after < 1.0:
        return 0.0
    return min(1.0, math.log((1.0 - before) / (1.0 - after)) / cost)


def _upstream(signs: Signs, time: Slowness, errors: _Errors) -> Iterator[Explanation]:
    if not errors.harmed or errors.api <= LEAST_PART:
        return
    parts = {"errors": errors.api * (HALF if _overloaded(signs, time) else 1.0)}
    money = _failed_money(signs)
    if signs.of("money") and money > LEAST_PART:
        parts["money"] = money
    api = signs.get("api_error_rate")
    apart = f" ({api.words})" if api is not None and api.effect is not None else ""
    words = f"more requests fail{apart}: {said(errors.harmed)}"
    yield Explanation("upstream_errors", parts, words)
