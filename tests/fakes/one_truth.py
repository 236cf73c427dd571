"""One made-up day of requests, and what a request log and a vLLM server's scrapes say of it.

Everything follows from the seed; ``one_truth_services`` writes the same day for the services of
clouds. Every source is given the numbers that its service would have computed: this proves that
five readers give one day of one truth; that a service computes its own numbers so is not proved.

Who measures what, as the services do it: a log's latencies are those of the requests that ended
well; an engine times all that reached it, those that failed there too; Azure times every answer,
and one to a refused request took it no time here. A request that failed has no tokens.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from fakes.service_days import HOURS, START

from upkeep.sources.points import DAY_S, HOUR_S

IDLE_HOUR = 4
SCRAPE_S = 120
# Finer than ``agreement_times`` of a model: of coarser buckets no percentile agrees that well.
PROMETHEUS_BOUNDS_MS = tuple(float(round(50 * 1.25**n)) for n in range(24))


class Request(NamedTuple):
    """One request; a refused one has no times, one that failed has no tokens."""

    second: float  # of the day
    status: str
    latency_ms: float | None = None
    ttft_ms: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def hour(self) -> int:
        """The hour in which it came and ended."""
        return int(self.second // HOUR_S)


Requests = Sequence[Request]
Told = defaultdict[tuple[str, str], float]  # counters by family and sample


def tell(seed: int = 5) -> tuple[Request, ...]:
    """Give the day: about 2,900 requests, most of them in the afternoon, an hour without any."""
    dice = random.Random(seed)
    return tuple(
        sorted(
            _request(dice, hour)
            for hour in HOURS
            if hour != IDLE_HOUR
            for _ in range(round(125 * (1 + 0.6 * math.sin(2 * math.pi * (hour - 9) / 24))))
        )
    )


def _request(dice: random.Random, hour: int) -> Request:
    second = hour * HOUR_S + dice.randrange(HOUR_S * 1000) / 1000
    kind = dice.random()
    if kind < 0.015:
        return Request(second, "api_error")
    ttft_ms = round(dice.lognormvariate(math.log(90), 0.5), 3)
    tokens_out = dice.randrange(5, 300)
    latency_ms = round(ttft_ms + tokens_out * dice.uniform(8.0, 14.0), 3)
    if kind < 0.04:
        return Request(second, "generation_error", latency_ms)
    return Request(second, "ok", latency_ms, ttft_ms, dice.randrange(10, 2000), tokens_out)


# ---------------------------------------------------------------- the truth


def of_status(requests: Requests, status: str) -> int:
    """Count the requests that ended so."""
    return sum(request.status == status for request in requests)


def in_hour(requests: Requests, hour: int) -> list[Request]:
    """Give the requests of an hour."""
    return [request for request in requests if request.hour == hour]


def hours_of(requests: Requests) -> Iterator[tuple[int, list[Request]]]:
    """Give the hours that had any request, with these."""
    for hour in HOURS:
        part = in_hour(requests, hour)
        if part:
            yield hour, part


def gpu_share(hour: int) -> float:
    """How busy the GPU was, all hour long."""
    return (30 + hour) / 100


def times_ms(requests: Requests, name: str, *, kind: str = "") -> list[float]:
    """Give what a kind of source measures of latency_ms or ttft_ms."""
    if name == "ttft_ms":
        return [r.ttft_ms for r in requests if r.ttft_ms is not None]
    if kind == "azure_monitor":
        return [r.latency_ms or 0.0 for r in requests]
    unwanted = ("generation_error",) if kind == "request_log" else ()
    return [r.latency_ms for r in requests if r.latency_ms is not None and r.status not in unwanted]


# ---------------------------------------------------------------- request log


def log_rows(requests: Requests) -> list[dict[str, Any]]:
    """Give the day's rows; what a request has not is null."""
    rows = []
    for number, request in enumerate(requests):
        at = START + timedelta(milliseconds=round(request.second * 1000))
        ok = request.status == "ok"
        row = {
            "request_id": f"r-{number:06d}",
            "time": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z",
            "model_version": "1",
            "client": "docs",
            "status": request.status,
            "latency_ms": request.latency_ms,
            "ttft_ms": request.ttft_ms,
            "tokens_in": request.tokens_in if ok else None,
            "tokens_out": request.tokens_out if ok else None,
            "prompt": f"Question {number}?",
        }
        rows.append(row)
    return rows


# ---------------------------------------------------------------- Prometheus


def openmetrics(requests: Requests) -> str:
    """Give what one vLLM server's scrapes say; its counters began with a like day before.

    A scrape shows what happened before it: a request of 09:59:59 is in the scrape of 10:00:00,
    and so in the hour that ends there.
    """
    start_s = int(START.timestamp())
    told: Told = defaultdict(float)
    for request in requests:
        _count(request, told)
    waiting = list(reversed(requests))
    families: dict[str, list[str]] = {}
    for second in range(0, DAY_S + 1, SCRAPE_S):
        while waiting and waiting[-1].second < second:
            _count(waiting.pop(), told)
        for (family, sample), value in told.items():
            at_s = start_s + second
            families.setdefault(family, []).append(f"{sample} {round(value, 6)} {at_s}")
        gpu = "DCGM_FI_DEV_GPU_UTIL"
        share = round(100 * gpu_share(min(23, second // HOUR_S)))
        families.setdefault(gpu, []).append(f'{gpu}{{job="chat"}} {share} {start_s + second}')
    lines = [line for name in families for line in families[name]]
    return "\n".join(lines) + "\n# EOF\n"


def _count(request: Request, told: Told) -> None:
    """Let a vLLM server count a request: refused ones reach its HTTP server only."""
    refused = request.status == "api_error"
    http, served = "http_requests_total", "vllm:request_success_total"
    handler = f'method="POST",handler="/v1/completions",status="{"4xx" if refused else "2xx"}"'
    told[http, f'{http}{{job="chat",{handler}}}'] += 1
    if refused:
        return
    reason = "stop" if request.status == "ok" else "error"
    told[served, f'{served}{{job="chat",finished_reason="{reason}"}}'] += 1
    for name, tokens in (("prompt", request.tokens_in), ("generation", request.tokens_out)):
        family = f"vllm:{name}_tokens_total"
        told[family, f'{family}{{job="chat"}}'] += tokens
    _observe(told, "vllm:e2e_request_latency_seconds", request.latency_ms)
    _observe(told, "vllm:time_to_first_token_seconds", request.ttft_ms)


def _observe(told: Told, name: str, value_ms: float | None) -> None:
    if value_ms is None:
        return
    first = bisect_left(PROMETHEUS_BOUNDS_MS, value_ms)
    bounds = [*(str(bound / 1000) for bound in PROMETHEUS_BOUNDS_MS), "+Inf"]
    for number, bound in enumerate(bounds):
        told[name, f'{name}_bucket{{job="chat",le="{bound}"}}'] += int(number >= first)
    told[name, f'{name}_sum{{job="chat"}}'] += value_ms / 1000
    told[name, f'{name}_count{{job="chat"}}'] += 1
