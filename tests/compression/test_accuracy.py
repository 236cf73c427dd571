"""Bits by what the loss allows: the largest share that holds, or no candidate and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.tiny_graph import remember_export, tiny_graph
from fakes.tiny_model import make_samples, tiny_llama

from upkeep.compression.accuracy import SHARES, Tried, compress, eight_bits, largest
from upkeep.errors import ParamError
from upkeep.model_files import check_model_folder
from upkeep.runtime import load


@pytest.mark.parametrize("holds_up_to", SHARES)
def test_bisection_finds_the_largest_share_that_holds(holds_up_to: float) -> None:
    """In at most six tries of eleven."""
    tried = []

    def attempt(share: float) -> Tried:
        tried.append(share)
        return Tried(share, tiny_graph(), share, 0.01 if share <= holds_up_to else 0.5)

    assert largest(attempt, 0.02, "m").share == holds_up_to
    assert len(tried) <= 6


def test_where_eight_bits_lose_too_much_there_is_no_candidate() -> None:
    """The nearest that there is, is named; a loss that is not a number holds nothing."""
    for upper in (0.3, float("nan")):
        with pytest.raises(ParamError, match=r"max_loss_increase: 0.02: no candidate, because 8"):
            largest(lambda share, found=upper: Tried(share, tiny_graph(), 0.1, found), 0.02, "m")  # type: ignore[misc]


def test_the_loss_decides_on_the_bits_and_the_notes_say_what_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss decides on the bits and the notes say what was left."""
    remember_export(monkeypatch)
    params = {"block_tokens": 16, "calibration_blocks": 4, "group_size": 32}
    numbers, notes = compress(
        tiny_llama(),
        make_samples(60),
        "openvino-accuracy",
        params | {"max_loss_increase": 9.0},
        tmp_path / "m",
    )
    assert numbers["share_4_bits"] == 1.0
    rise = numbers["loss_after_nats"] - numbers["loss_before_nats"]
    assert rise < numbers["loss_increase_upper_nats"]
    assert "left at 8 bits: lm_head.weight, model.embed_tokens.weight" in notes[1]
    check_model_folder(tmp_path / "m", "openvino")
    assert "u4" in load(tmp_path / "m", "openvino").precision
    assert eight_bits(tiny_graph().graph) == []


@pytest.mark.parametrize(
    ("params", "count", "said"),
    [
        ({"max_loss_increase": 0.0}, 60, "max_loss_increase: 0.0: Input should be greater than 0"),
        ({"max_loss_increase": float("inf")}, 60, "max_loss_increase: inf"),
        ({"block_tokens": 16}, 0, "is calibrated on production's texts"),
        (
            {"block_tokens": 16, "held_out_share": 0.02},
            40,
            "held_out_share: 0.02: leaves 1 blocks to judge by; 2 are needed",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, float],
    count: int,
    said: str,
) -> None:
    """What cannot be judged is refused."""
    remember_export(monkeypatch)
    with pytest.raises(ParamError, match=said):
        compress(tiny_llama(), make_samples(count), "openvino-accuracy", params, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
