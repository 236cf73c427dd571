"""What a compressed model is judged against, and the texts that it is judged on."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
import torch
from fakes.learnt_llama import QUICK, learnt_llama, marked_sentences

from upkeep import fitting
from upkeep.compression.healing import Heal, judge
from upkeep.compression.texts import TextParams, Texts, loss_nats, texts_of
from upkeep.errors import ParamError
from upkeep.pretrained import load_model
from upkeep.records import Sample

SMALL = TextParams(block_tokens=32)


def texts(samples: list[Sample] | None = None, asked: TextParams = SMALL) -> Texts:
    """The texts as the methods see them."""
    model, tokenizer = load_model(learnt_llama())
    found = texts_of(model, tokenizer, samples or marked_sentences(), asked)
    assert found is not None
    return found


def test_a_candidate_that_is_the_champion_has_lost_nothing_however_long_it_is_trained() -> None:
    """The control has had the same steps on the same blocks, and is the same model."""
    same = load_model(learnt_llama())[0]
    found, notes = judge(same, learnt_llama(), texts(), Heal(**QUICK))
    assert found["loss_held_out_nats"] < found["champion_loss_held_out_nats"]
    assert found["control_loss_held_out_nats"] == pytest.approx(found["loss_held_out_nats"])
    assert found["quality_loss_nats"] == pytest.approx(0.0, abs=1e-6)
    assert found["unhealed_loss_held_out_nats"] == pytest.approx(
        found["champion_loss_held_out_nats"]
    )
    assert found["trained_steps"] == QUICK["steps"]
    assert "+0.0000 lost" in notes[0] or "-0.0000 lost" in notes[0]


def test_nothing_trained_is_judged_against_the_champion_itself() -> None:
    """And changes no weight."""
    broken = load_model(learnt_llama())[0]
    broken.model.layers[1].mlp.down_proj.weight.data.zero_()
    found, notes = judge(broken, learnt_llama(), texts(), None)
    lost = found["loss_held_out_nats"] - found["champion_loss_held_out_nats"]
    assert found["quality_loss_nats"] == pytest.approx(lost)
    assert lost > 0
    assert "nothing trained" in notes[0]
    assert set(found) == {
        "loss_held_out_nats",
        "champion_loss_held_out_nats",
        "quality_loss_nats",
    }


def test_a_training_that_the_clock_ended_has_a_control_of_as_many_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Minutes are not the same number of steps for two models."""
    steps: list[int] = []
    real = fitting.fit

    def noted(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        steps.append(found.steps)
        return found

    monkeypatch.setattr("upkeep.compression.healing.fit", noted)
    ticks = count()
    monkeypatch.setattr("upkeep.fit_course.time.monotonic", lambda: float(next(ticks)))
    settings = Heal(**QUICK | {"steps": 10_000, "minutes": 0.2, "check_every": 10_000})
    judge(load_model(learnt_llama())[0], learnt_llama(), texts(), settings)
    assert len(set(steps)) == 1
    assert 1 <= steps[0] < 20


def test_training_takes_only_blocks_that_are_not_held_out() -> None:
    """No sample is on both sides, whatever its order and however often it comes."""
    samples = marked_sentences(50)
    once = texts(samples)
    twice = texts([*reversed(samples), *samples])
    assert torch.equal(once.held_out, twice.held_out)
    assert torch.equal(once.blocks, twice.blocks)
    held = {s.id for s in samples} - {s.id for s in once.work}
    assert len(held) == 5
    assert len(once.work) == 45


def test_calibration_blocks_are_spread_over_all_of_them() -> None:
    """At most so many, the first among them."""
    found = texts(asked=TextParams(block_tokens=32, calibration_blocks=4))
    quarter = len(found.blocks) // 4
    assert torch.equal(found.calibration, found.blocks[::quarter][:4])
    assert torch.equal(texts().calibration, texts().blocks[: len(texts().calibration)]) == (
        len(texts().blocks) <= 64
    )


def test_blocks_are_no_longer_than_the_models_context() -> None:
    """Its place embeddings end there."""
    assert texts(asked=TextParams(block_tokens=4096)).blocks.shape[1] == 64


def test_too_little_text_is_said() -> None:
    """One text is held out, and nothing is left."""
    with pytest.raises(ParamError, match=r"training: '\d+ tokens': must fill a block of 32"):
        texts([Sample(id="a", slice="docs", prompt="loop!")])
    model, tokenizer = load_model(learnt_llama())
    assert texts_of(model, tokenizer, [], SMALL) is None


def test_the_loss_is_the_mean_over_all_tokens_whatever_the_batches() -> None:
    """Judged block by block it is the same."""
    model, blocks = load_model(learnt_llama())[0], texts().blocks[:11]
    alone = [loss_nats(model, block[None]) for block in blocks]
    assert loss_nats(model, blocks) == pytest.approx(sum(alone) / 11, rel=1e-5)
