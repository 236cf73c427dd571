"""The example files of examples/fleet are accepted as they stand, over our own defaults."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from upkeep.config import load_fleet
from upkeep.errors import ConfigError
from upkeep.sources.azure_day import DEPLOYMENTS, ENDPOINTS
from upkeep.sources.prometheus_queries import plan
from upkeep.spec_sources import (
    AzureMonitorSource,
    CloudWatchSource,
    GoogleMonitoringSource,
    PrometheusSource,
)

ROOT = Path(__file__).parents[2]
ALLOWED = {"UPKEEP_ALLOWED_HOSTS": ".metrics.monitor.azure.com"}
FILES = {
    "sagemaker-endpoint": CloudWatchSource,
    "azure-ml-endpoint": AzureMonitorSource,
    "vertex-endpoint": GoogleMonitoringSource,
    "vllm-on-kubernetes": PrometheusSource,
}


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A fleet folder as a person makes it: our defaults, and copies of the examples."""
    shutil.copy(ROOT / "include/fleet/defaults.yaml", tmp_path)
    for name in FILES:
        shutil.copy(ROOT / f"examples/fleet/{name}.yaml", tmp_path)
    return tmp_path


def test_each_example_is_a_model_with_the_source_it_is_named_for(fleet: Path) -> None:
    """All four load strictly, side by side."""
    models = load_fleet(fleet, ALLOWED).models
    assert {type(model.sources[0]) for model in models.values()} == set(FILES.values())
    assert all(model.prices for model in models.values())


def test_the_azure_example_counts_requests_once(fleet: Path) -> None:
    """Its two sources are of different namespaces: one counts, the other gives utilisation."""
    sources = load_fleet(fleet, ALLOWED).models["contract-reader"].sources
    assert [source.namespace for source in sources] == [ENDPOINTS, DEPLOYMENTS]  # type: ignore[union-attr]


def test_the_azure_example_needs_its_host_to_be_allowed(fleet: Path) -> None:
    """And says so, with the place in the file."""
    with pytest.raises(ConfigError, match=r"azure-ml-endpoint.yaml:\d+:.*is not an allowed"):
        load_fleet(fleet, {})


def test_vllm_on_kubernetes_loads_over_the_defaults(fleet: Path) -> None:
    """And its three sources give every measure that metrics can give."""
    spec = load_fleet(fleet, ALLOWED).models["chat-on-kubernetes"]
    assert all(isinstance(source, PrometheusSource) for source in spec.sources)
    measures = {
        query.measure
        for source in spec.sources
        if isinstance(source, PrometheusSource)
        for query in plan(source)
    }
    assert measures >= {"requests", "generation_errors", "api_errors", "latency_ms", "ttft_ms"}
    assert measures >= {"cpu", "gpu", "host_memory", "network_bytes_per_s", "tokens_out"}
