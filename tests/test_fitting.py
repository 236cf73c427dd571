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
from upkeep.errors import JobFailed, ParamError
from upkeep.fit_task import Player, Task, next_token_loss
from upkeep.fitting import Fit, FitParams, OnStep, fit, rate_share
from upkeep.pretrained import load_model

SETTINGS = FitParams(steps=30, lr=3e-3, batch_blocks=4, check_every=10, threads=1, seed=5)


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


def test_accumulated_batches_are_one_larger_batch() -> None:
    """Two batches of four are one of eight, up to the order of float sums."""
    every = blocks(20)
    learnt = []
    for batch, accumulate in ((8, 1), (4, 2)):
        of = model()
        changed = {"batch_blocks": batch, "accumulate": accumulate, "clip_norm": 4.0}
        settings = SETTINGS.model_copy(update=changed)
        found = fit(of, every[:16], every[16:], settings)
        assert found.tokens == 30 * 8 * 16
        learnt.append((found, weights(of)))
    assert same(learnt[0][1], learnt[1][1])
    assert learnt[0][0].kept.held_out == pytest.approx(learnt[1][0].kept.held_out, rel=1e-5)


def test_bfloat16_is_used_where_it_is_asked_for_and_that_is_said() -> None:
    """Weights stay in float32; what is computed is another number, and still learns."""
    import torch

    mixed, plain = model(), model()
    found, other = train(mixed, precision="bf16"), train(plain)
    assert (found.precision, other.precision) == ("bf16", "fp32")
    assert "in bf16" in found.words()
    assert next(mixed.parameters()).dtype == torch.float32
    assert not same(weights(mixed), weights(plain))
    assert found.kept.held_out == pytest.approx(other.kept.held_out, rel=0.1)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    """Rather than trained on something else."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ParamError, match=r"params\.device: 'cuda': is not available here"):
        train(model(), device="cuda")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("torch.OutOfMemoryError", JobFailed),
        ("RuntimeError: can't allocate memory", JobFailed),
        ("RuntimeError: shapes differ", RuntimeError),
    ],
)
def test_memory_that_runs_out_ends_the_job_in_words(error: str, expected: type[Exception]) -> None:
    """With what to do; another error stays what it is."""
    import torch

    def loss(of: Any, batch: Any) -> Any:
        if error.startswith("torch"):
            raise torch.OutOfMemoryError("CUDA out of memory")
        raise RuntimeError(error)

    with pytest.raises(expected) as raised:
        fit(model(), blocks(), blocks(), SETTINGS, task=Task((Player(loss),), next_token_loss))
    assert ("lower batch_blocks" in str(raised.value)) == (expected is JobFailed)


def test_two_players_take_turns_on_parts_of_one_model() -> None:
    """As a generator and a discriminator do: neither moves the other's weights."""
    import torch

    torch.manual_seed(0)
    both = torch.nn.ModuleDict({"left": torch.nn.Linear(1, 1), "right": torch.nn.Linear(1, 1)})
    rows = torch.linspace(-1.0, 1.0, 32)[:, None]
    task = Task(
        (
            Player(lambda m, x: ((m["left"](x) - 2 * x) ** 2).mean(), part_of("left")),
            Player(lambda m, x: ((m["right"](m["left"](x)) - x) ** 2).mean(), part_of("right")),
        ),
        lambda m, x: ((m["right"](m["left"](x)) - x) ** 2).mean(),
    )
    settings = SETTINGS.model_copy(update={"lr": 0.05, "steps": 400, "weight_decay": 0.0})
    found = fit(both, rows, rows, settings, task=task)
    assert found.kept.held_out < 1e-3
    assert float(both["left"].weight.detach()) == pytest.approx(2.0, abs=0.05)
    assert float(both["right"].weight.detach()) == pytest.approx(0.5, abs=0.05)


def part_of(name: str) -> Any:
    return lambda of: of[name].parameters()


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
