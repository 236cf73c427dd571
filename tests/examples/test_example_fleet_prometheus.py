"""The example of vLLM on Kubernetes is a model that the fleet's loader takes."""

from __future__ import annotations

import shutil
from pathlib import Path

from upkeep.config import load_fleet
from upkeep.sources.prometheus_queries import plan
from upkeep.spec_sources import PrometheusSource

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "fleet" / "vllm-on-kubernetes.yaml"


def test_vllm_on_kubernetes_loads_over_the_defaults(tmp_path: Path) -> None:
    """And its three sources give every measure that metrics can give."""
    shutil.copy(ROOT / "include" / "fleet" / "defaults.yaml", tmp_path)
    shutil.copy(EXAMPLE, tmp_path)
    spec = load_fleet(tmp_path, {}).models["chat-on-kubernetes"]
    assert all(isinstance(source, PrometheusSource) for source in spec.sources)
    measures = {
        query.measure
        for source in spec.sources
        if isinstance(source, PrometheusSource)
        for query in plan(source)
    }
    assert measures >= {"requests", "generation_errors", "api_errors", "latency_ms", "ttft_ms"}
    assert measures >= {"cpu", "gpu", "host_memory", "network_bytes_per_s", "tokens_out"}
