"""The training loop: its rate, its loss curve, and the weights that it keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.tiny_model import tiny_llama
from upkeep import fitting
from upkeep.errors import JobFailed
from upkeep.fitting import Fit, FitParams, OnStep, fit, rate_share
from upkeep.pretrained import load_model

SETTINGS = FitParams(
    steps=30, lr=3e-3, batch_blocks=4, check_every=10, threads=1, seed=5
)


def model() -> Any:
    """Give a fresh copy of the tiny model's weights."""
    return load_model(tiny_llama())[0]


def blocks(number: int = 24) -> Any:
    """Counting, from another start in each block: easy to learn, the same in every block."""
    import torch

    return torch.stack([(torch.arange(16) + start) % 40 + 1 for start in range(number)])


def train(
    of: Any, settings: FitParams = SETTINGS, on_step: OnStep | None = None, **changed: object
) -> Fit:
    """Train on 20 of the blocks; 4 of the middle are held out."""
    settings = settings.model_copy(update=changed)
    every = blocks()
    kept = [n for n in range(len(every)) if n not in (5, 10, 15, 20)]
    return fit(of, every[kept], every[5:21:5], settings, on_step)


def weights(of: Any) -> dict[str, Any]:
    """Copy what training would change."""
    return {name: tensor.clone() for name, tensor in of.state_dict().items()}


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Tell whether two models are equal within rounding."""
    import torch

    return all(torch.allclose(left[name], right[name], atol=1e-6) for name in left)


def test_training_lowers_the_loss_on_blocks_that_it_never_saw() -> None:
    """What is learnt is the rule, not the blocks."""
    found = train(model())
    assert found.curve[0].step == 0
    assert found.kept.held_out < found.curve[0].held_out - 0.5


def test_the_loss_curve_has_a_point_at_every_check_and_at_the_end() -> None:
    """Losses of 10, 20 and 25 steps, after the one before training."""
    found = train(model(), steps=25)
    assert [check.step for check in found.curve] == [0, 10, 20, 25]
    assert found.curve[0].train is None
    assert all(check.train is not None for check in found.curve[1:])
    assert found.steps == 25
    assert found.tokens == 25 * 4 * 16


def test_the_curve_is_among_the_flat_measurements() -> None:
    """A candidate's record holds numbers only."""
    flat = train(model()).measurements()
    assert {"loss_train[10]", "loss_held_out[0]", "loss_held_out[30]"} <= set(flat)
    assert flat["loss_held_out_before"] == flat["loss_held_out[0]"]
    assert flat["loss_held_out_after"] == min(
        v for k, v in flat.items() if k.startswith("loss_held_out[")
    )
    assert all(math.isfinite(value) for value in flat.values())


def test_the_same_seed_gives_the_same_weights() -> None:
    """Two runs differ by no more than rounding."""
    first, second = model(), model()
    train(first)
    train(second)
    assert same(weights(first), weights(second))


def test_another_seed_takes_the_blocks_in_another_order() -> None:
    """So the seed is really used."""
    first, second = model(), model()
    train(first)
    train(second, seed=6)
    assert not same(weights(first), weights(second))


def test_training_that_only_harms_is_stopped_and_leaves_the_model_as_it_was() -> None:
    """Held-out loss rises at once: the weights before the first step are the best."""
    learnt = model()
    train(learnt, steps=150)
    before = weights(learnt)
    found = train(learnt, lr=0.9, steps=500, patience=2)
    assert found.kept_step == 0
    assert found.steps == 20
    assert same(before, weights(learnt))


def test_minutes_end_the_training_before_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock of one second a look: six seconds hold few of 10,000 steps."""
    ticks: Iterator[int] = count()
    monkeypatch.setattr(fitting.time, "monotonic", lambda: float(next(ticks)))
    found = train(model(), steps=10_000, minutes=0.1)
    assert 1 <= found.steps <= 6
    assert found.curve[-1].step == found.steps


def test_every_step_is_told() -> None:
    """A progress bar counts on it."""
    told: list[int] = []
    train(model(), on_step=lambda step, loss: told.append(step))
    assert told == list(range(1, 31))


def test_weights_that_are_not_numbers_fail_the_job() -> None:
    """Nothing comes of it, rather than a model full of NaN."""
    broken = model()
    next(broken.parameters()).data.fill_(math.nan)
    with pytest.raises(JobFailed, match="diverged"):
        train(broken)


def test_a_loss_that_becomes_infinite_fails_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of the training."""
    import torch

    learnt = model()
    real = learnt.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        if learnt.training:
            found.loss = found.loss * torch.tensor(math.inf)
        return found

    monkeypatch.setattr(learnt, "forward", forward)
    with pytest.raises(JobFailed, match="loss inf"):
        train(learnt)


def test_the_rate_rises_to_its_full_height_and_falls_to_a_twentieth() -> None:
    """Warm-up, then half a cosine."""
    shares = [rate_share(done / 100, 0.1) for done in range(101)]
    assert shares[0] < 0.1
    assert max(shares) == pytest.approx(1.0)
    assert shares.index(max(shares)) == 10
    assert shares[-1] == pytest.approx(0.05)
    assert all(a >= b for a, b in pairwise(shares[10:]))


@given(st.floats(0.0, 2.0), st.floats(0.0, 0.99))
def test_the_rate_is_never_zero_nor_over_its_height(progress: float, warmup: float) -> None:
    """Whatever the clock says."""
    assert 0.0 < rate_share(progress, warmup) <= 1.0


def test_no_threads_asked_for_means_every_cpu_of_the_process() -> None:
    """And a number means that number."""
    import os

    import torch

    before = torch.get_num_threads()
    try:
        fitting.use_threads(None)
        assert torch.get_num_threads() == len(os.sched_getaffinity(0))
        fitting.use_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
