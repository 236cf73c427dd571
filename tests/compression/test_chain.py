"""Methods one after the other: each reads what the one before made, and all are told of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.compressing import fake_champion, fake_methods, weights_bytes
from fakes.tiny_model import make_samples

from upkeep.compression.chain import compress
from upkeep.compression_methods import control_gain_nats
from upkeep.errors import ParamError

__all__ = ["fake_methods"]

pytestmark = pytest.mark.usefixtures("fake_methods")


def chain(folder: Path, *steps: dict[str, Any]) -> tuple[dict[str, float], tuple[str, ...], Path]:
    """Run the steps on the fake champion."""
    champion, out = fake_champion(folder / "champion"), folder / "out"
    out.mkdir()
    params = {"steps": list(steps)}
    return *compress(champion, make_samples(5), "chain", params, out), out


def test_each_step_reads_what_the_one_before_made(tmp_path: Path) -> None:
    """Half of the weights, then an eighth of their bits."""
    measured, notes, out = chain(
        tmp_path,
        {"method": "prune-mlp", "params": {"share": 0.5}},
        {"method": "fake-int", "params": {"bits": 4}},
    )
    champion = weights_bytes(tmp_path / "champion")
    assert weights_bytes(out) == pytest.approx(champion / 16, rel=0.05)
    assert json.loads((out / "fake.json").read_text())["step_ms"] < 5.0
    files = [f for f in out.iterdir() if f.is_file()]
    assert measured["size_bytes"] == sum(f.stat().st_size for f in files)
    assert measured["parent_size_bytes"] > champion
    assert {"seconds", "step1_seconds", "step2_seconds"} <= set(measured)
    assert notes == (
        "step 1, prune-mlp: prune-mlp was here",
        "step 2, fake-int: fake-int was here",
    )
    assert not (out / "model.safetensors").exists()


def test_what_equal_training_gave_is_told_of_the_whole_chain(tmp_path: Path) -> None:
    """Half a nat of the distillation, whatever follows it."""
    measured, _, _ = chain(tmp_path, {"method": "fake-distil"}, {"method": "fake-int"})
    assert measured["control_gain_nats"] == pytest.approx(0.5)
    assert control_gain_nats(measured) == pytest.approx(0.5)


def test_two_steps_that_train_have_two_gains(tmp_path: Path) -> None:
    """They add up."""
    measured, _, _ = chain(tmp_path, {"method": "fake-distil"}, {"method": "fake-distil"})
    assert measured["control_gain_nats"] == pytest.approx(1.0)


def test_a_chain_that_does_not_train_has_no_control(tmp_path: Path) -> None:
    """Nothing to be held against."""
    measured, _, _ = chain(tmp_path, {"method": "fake-int"})
    assert control_gain_nats(measured) is None


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([], "at least 1 item"),
        ([{"method": "fake-int"}, {"method": "prune-mlp"}], "nothing can follow it"),
        ([{"method": "chain"}], "'chain' is no step"),
        ([{"method": "prune-mlp"}, {"method": "fake-int", "params": {"bots": 1}}], "mean bits"),
        ([{"method": "prune-mlp", "parms": {}}], "parms"),
    ],
)
def test_every_step_is_checked_before_the_first_begins(
    tmp_path: Path, steps: list[dict[str, Any]], said: str
) -> None:
    """Also the settings of the last one."""
    with pytest.raises(ParamError, match=said):
        chain(tmp_path, *steps)
    assert list((tmp_path / "out").iterdir()) == []
