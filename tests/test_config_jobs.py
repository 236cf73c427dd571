"""A search that could not run is refused where it is written, by file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_config import DEFAULTS_TEXT, RESOURCES, changed, load

from upkeep.errors import ConfigError


def fleet(folder: Path, compress: str, resources: str = RESOURCES) -> Path:
    """A fleet of one model with this compression."""
    (folder / "logs").mkdir()
    made = folder / "fleet"
    made.mkdir()
    (made / "defaults.yaml").write_text(DEFAULTS_TEXT)
    text = changed(RESOURCES, f"{resources}\n  compress: {compress}")
    (made / "tiny.yaml").write_text(text)
    return made


INT8 = "{steps: [{method: openvino-int8}]}"


@pytest.mark.parametrize(
    "compress",
    [
        "{method: openvino-int8}",
        "{method: search, params: {trials: 12}}",
        f"{{method: search, params: {{minutes: 20.0, routes: [{INT8}]}}}}",
        "{method: chain, params: {steps: [{method: openvino-int4, params: {group_size: 32}}]}}",
    ],
)
def test_a_compression_that_can_run_is_read(tmp_path: Path, compress: str) -> None:
    """Any method, a budget in trials or minutes, a chain."""
    assert "tiny" in [spec.name for spec in load(fleet(tmp_path, compress)).models.values()]


@pytest.mark.parametrize(
    ("compress", "where", "said"),
    [
        ("{method: search}", "jobs.compress.params", "needs a budget"),
        ("{method: search, params: {trails: 3}}", "params.trails", "did you mean trials"),
        (
            "{method: search, params: {trials: 3, routes: [{steps: []}]}}",
            "routes[0].steps",
            "at least 1",
        ),
        (
            "{method: search, params: {trials: 3, goal: {max_quality_loss: -1.0}}}",
            "goal.max_quality_loss",
            "greater than 0",
        ),
        ("{method: search, params: {minutes: 30.0}}", "params.minutes", "time-out is 1800 s"),
        (
            "{method: chain, params: {steps: [{method: openvino-int8}, {method: openvino-int4}]}}",
            "jobs.compress.params",
            "nothing can follow it",
        ),
        ("{method: chain}", "params.steps", "required"),
    ],
)
def test_a_compression_that_cannot_run_is_refused_where_it_is_written(
    tmp_path: Path, compress: str, where: str, said: str
) -> None:
    """File, line and field, before any job is made of it."""
    with pytest.raises(ConfigError, match=said) as refused:
        load(fleet(tmp_path, compress), strict=True)
    assert "tiny.yaml:1" in refused.value.where
    assert where in refused.value.where
