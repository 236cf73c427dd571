"""Fourteen days of made-up traffic, as OpenMetrics text and as what truly happened.

Two pods of vLLM serve a model, scraped every two minutes; what happens between two scrapes is
in the later one. One metric is stored under its renamed name, one pod restarts, another model
is scraped by a pair of Prometheus. Everything follows from the seed.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

FIRST_DAY = date(2026, 3, 2)
DAYS = 14
SCRAPE_S = 120
BOUNDS_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
PODS = ("vllm-0", "vllm-1")
RESTART = (FIRST_DAY + timedelta(days=3), 43_200, "vllm-0")  # this pod, at noon of this day
LATE = (FIRST_DAY + timedelta(days=5), "vllm-1")  # unseen 10 minutes before and after midnight
MODEL, PAIRED = "chat", "paired"


@dataclass
class Truth:
    """What happened on one day."""

    latencies_s: list[float] = field(default_factory=list)
    aborted: int = 0
    refused: int = 0
    tokens_out: int = 0
    by_hour: list[int] = field(default_factory=lambda: [0] * 24)

    def quantile_ms(self, q: float) -> float:
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[round(q * (len(ordered) - 1))]


@dataclass
class Pod:
    """The counters of one process."""

    stopped: int = 0
    aborted: int = 0
    well: int = 0
    refused: int = 0
    tokens_out: int = 0
    total_s: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))

    def lines(self, pod: str, at_s: int) -> Iterator[tuple[str, str]]:
        """(family, line) of one scrape."""
        own = f'job="{MODEL}",pod="{pod}"'
        for family, labels, value in (
            ("vllm:request_success_total", 'finished_reason="stop"', self.stopped),
            ("vllm:request_success_total", 'finished_reason="abort"', self.aborted),
            ("http_requests_total", POST + 'status="2xx"', self.well),
            ("http_requests_total", POST + 'status="5xx"', self.refused),
            ("vllm_generation_tokens_total", 'model_name="m"', self.tokens_out),
        ):
            if value or 'status="5xx"' not in labels:  # a client writes it at the first error
                yield family, f"{family}{{{own},{labels}}} {value} {at_s}"
        name = "vllm:e2e_request_latency_seconds"
        below = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.buckets, strict=True):
            below += count
            yield name, f'{name}_bucket{{{own},le="{bound}"}} {below} {at_s}'
        yield name, f"{name}_sum{{{own}}} {self.total_s:.6f} {at_s}"
        yield name, f"{name}_count{{{own}}} {below} {at_s}"


POST = 'method="POST",handler="/v1/completions",'


def tell() -> tuple[str, dict[date, Truth]]:
    """The text for promtool, and the truth by day."""
    dice = random.Random(7)
    pods = {name: Pod() for name in PODS}
    truths = {FIRST_DAY + timedelta(days=n): Truth() for n in range(DAYS)}
    families: dict[str, list[str]] = {}
    start_s = int(datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC).timestamp())
    for step in range(DAYS * 86_400 // SCRAPE_S + 1):
        at_s = start_s + step * SCRAPE_S
        for name in PODS:
            if step:
                day_n, second = divmod((step - 1) * SCRAPE_S, 86_400)
                day = FIRST_DAY + timedelta(days=day_n)
                if (day, second, name) == RESTART:
                    pods[name] = Pod()
                _serve(pods[name], truths[day], second // 3600, dice)
            if not _unseen(name, at_s - start_s):
                for family, line in pods[name].lines(name, at_s):
                    families.setdefault(family, []).append(line)
        for family, line in _others(step, at_s):
            families.setdefault(family, []).append(line)
    text = "\n".join(line for name in families for line in families[name])
    return f"{text}\n# EOF\n", truths


def _serve(pod: Pod, truth: Truth, hour: int, dice: random.Random) -> None:
    for _ in range(dice.randrange(3)):
        latency_s = dice.lognormvariate(-0.7, 0.6)
        pod.buckets[bisect_left(BOUNDS_S, latency_s)] += 1
        pod.total_s += latency_s
        tokens = dice.randrange(10, 200)
        pod.tokens_out += tokens
        truth.latencies_s.append(latency_s)
        truth.tokens_out += tokens
        truth.by_hour[hour] += 1
        if dice.random() < 0.05:
            pod.aborted += 1
            truth.aborted += 1
        else:
            pod.stopped += 1
        pod.well += 1
    if dice.random() < 0.01:
        pod.refused += 1
        truth.refused += 1
        truth.by_hour[hour] += 1


def _unseen(pod: str, second: int) -> bool:
    """Scrapes of the second pod fail for 20 minutes around a midnight."""
    late_s = (LATE[0] - FIRST_DAY).days * 86_400
    return pod == LATE[1] and late_s - 600 <= second <= late_s + 600


def _others(step: int, at_s: int) -> Iterator[tuple[str, str]]:
    """Machines, and the model that two Prometheus scrape: 5 requests a scrape."""
    busy = step % 30
    for name, value in (
        ("DCGM_FI_DEV_GPU_UTIL", 40 + busy),
        ("DCGM_FI_DEV_FB_USED", 30_000 + busy),
        ("DCGM_FI_DEV_FB_FREE", 10_000 - busy),
        ("node_memory_MemAvailable_bytes", 750 + busy),
        ("node_memory_MemTotal_bytes", 1_000),
        ("node_network_receive_bytes_total", step * SCRAPE_S * 100),
        ("node_network_transmit_bytes_total", step * SCRAPE_S * 50),
    ):
        device = ',device="eth0"' if "network" in name else ""
        yield name, f'{name}{{job="{MODEL}",instance="a"{device}}} {value} {at_s}'
    cpu = "node_cpu_seconds_total"
    yield cpu, f'{cpu}{{job="{MODEL}",instance="a",cpu="0",mode="idle"}} {step * 90} {at_s}'
    name = "vllm:request_success_total"
    for replica in "ab":
        if replica == "a" or step % 7:
            own = f'job="{PAIRED}",finished_reason="stop",prometheus="{replica}"'
            yield name, f"{name}{{{own}}} {step * 5} {at_s}"
