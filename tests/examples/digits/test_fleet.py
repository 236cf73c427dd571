"""The fleet files of the digit models: over our own defaults, and without what is for texts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from upkeep.config import load_fleet
from upkeep.spec import ModelSpec

ROOT = Path(__file__).parents[3]
NAMES = ("digits-gan", "digits-vae")
MEASURES = ("fid", "kid", "inception_score", "image_vendi")


@pytest.fixture
def models(tmp_path: Path) -> Mapping[str, ModelSpec]:
    """Both, as the loader reads them where their tools are."""
    fleet, tools = tmp_path / "fleet", tmp_path / "tools/digits"
    fleet.mkdir()
    (tools / "features").mkdir(parents=True)
    (tools / "references.parquet").touch()
    shutil.copy(ROOT / "include/fleet/defaults.yaml", fleet)
    for name in NAMES:
        shutil.copy(ROOT / f"examples/digits/fleet/{name}.yaml", fleet)
    environ = {"UPKEEP_LOGS": str(tmp_path), "UPKEEP_TOOLS": str(tmp_path / "tools")}
    return load_fleet(fleet, environ).models


def test_both_load_strictly_over_the_defaults(models: Mapping[str, ModelSpec]) -> None:
    """As image models with measures of images."""
    assert tuple(models) == NAMES
    for model in models.values():
        assert model.quality.modality == "image"
        assert model.quality.measures == MEASURES


def test_measures_of_texts_are_gone_and_those_of_images_are_judged(
    models: Mapping[str, ModelSpec],
) -> None:
    """``null`` takes a default away; the operational defaults stay."""
    for model in models.values():
        judged = model.policy.measures
        assert not {"perplexity", "ttft_p95_ms"} & set(judged)
        assert set(MEASURES) | {"latency_p95_ms", "error_rate", "requests"} <= set(judged)
        assert judged["fid"].kind == judged["kid"].kind == "absolute"  # they are near 0


def test_no_cause_leads_to_a_job(models: Mapping[str, ModelSpec]) -> None:
    """Nothing retrains or compresses an image model: a fall of quality calls a human."""
    for model in models.values():
        actions = {rule.cause: rule.action for rule in model.policy.rules}
        assert set(actions.values()) == {"hold", "keep", "investigate"}
        assert actions["model_quality"] == actions["traffic_mix"] == "investigate"
