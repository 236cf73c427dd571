"""The Grafana dashboard asks a real Prometheus what Upkeep's own query sets ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.prometheus_server import Prometheus, installed
from upkeep.sources.prometheus_http import Api
from upkeep.sources.prometheus_queries import SETS

FILE = Path(__file__).parents[2] / "docs" / "grafana" / "upkeep.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
VARIABLES = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
KNOWN = {name for queries in SETS.values() for query in queries for name in query.names}
# One scrape a minute of everything that the dashboard names, for five minutes.
SERIES = {
    'vllm:request_success_total{pod="a",namespace="n",finished_reason="stop"}': 60,
    'vllm:request_success_total{pod="a",namespace="n",finished_reason="abort"}': 6,
    'http_requests_total{pod="a",namespace="n",method="POST",handler="/v1/completions",'
    'status="5xx"}': 6,
    'vllm:prompt_tokens_total{pod="a",namespace="n"}': 60,
    'vllm_generation_tokens_total{pod="a",namespace="n"}': 60,
    'vllm:kv_cache_usage_perc{pod="a",namespace="n"}': 0,
    'DCGM_FI_DEV_GPU_UTIL{pod="a",namespace="n"}': 1,
    'DCGM_FI_DEV_FB_USED{pod="a",namespace="n"}': 1,
    'DCGM_FI_DEV_FB_FREE{pod="a",namespace="n"}': 1,
    'node_cpu_seconds_total{instance="i",mode="idle",cpu="0"}': 30,
    'node_memory_MemAvailable_bytes{instance="i"}': 1,
    'node_memory_MemTotal_bytes{instance="i"}': 4,
    'node_network_receive_bytes_total{instance="i",device="eth0"}': 60,
    'node_network_transmit_bytes_total{instance="i",device="eth0"}': 60,
    **{
        f'vllm:{name}_seconds_bucket{{pod="a",namespace="n",le="{le}"}}': 60
        for name in ("time_to_first_token", "e2e_request_latency")
        for le in ("0.5", "+Inf")
    },
}
START_S = 1_772_409_600


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """A real Prometheus that has every metric of the dashboard."""
    if not installed():
        pytest.skip("prometheus and promtool are not installed")
    lines = [
        f"{series} {(minute + 1) * by} {START_S + 60 * minute}"
        for series, by in SERIES.items()
        for minute in range(6)
    ]
    with Prometheus("\n".join([*lines, "# EOF\n"])) as server:
        yield Api(server.url)


def substituted(expression: str) -> str:
    """As Grafana sends it with every variable on All."""
    filled = expression.replace("$__rate_interval", "4m")
    return re.sub(r"\$(\w+)", lambda m: VARIABLES[m.group(1)]["allValue"], filled)


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression names, alternatives spelt out."""
    found = set(re.findall(r"\b((?:node|DCGM|vllm|http|tgi|nv)_\w+)\{", expression))
    for pattern in re.findall(r'__name__=~"([^"]+)"', expression):
        name = pattern.replace("[:_]", ":")
        both = re.search(r"\((\w+)\|(\w+)\)", name)
        found |= {name.replace(both.group(0), one) for one in both.groups()} if both else {name}
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_is_one_that_our_source_reads(expression: str) -> None:
    """So that the live view and the recorded day speak of the same thing."""
    assert metrics_of(expression)
    assert metrics_of(expression) <= KNOWN


@pytest.mark.stack
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_runs_and_has_an_answer(api: Api, expression: str) -> None:
    """On a real Prometheus; one that parses and finds nothing is a typing error too."""
    answer = api.vector(substituted(expression), START_S + 300)
    assert answer
    assert all(float(series["value"][1]) >= 0.0 for series in answer)


def test_the_dashboard_is_whole() -> None:
    """Panels do not overlap, and their variables exist."""
    ids = [panel["id"] for panel in PANELS]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS]
    assert len(set(ids)) == len(set(places)) == len(PANELS) == 9
    used = set(re.findall(r"\$(\w+)", " ".join(p.values[0] for p in EXPRESSIONS)))  # type: ignore[misc]
    assert used - {"__rate_interval"} <= set(VARIABLES)
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
