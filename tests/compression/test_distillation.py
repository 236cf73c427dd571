"""Students: smaller, taught by the champion's logits or by what it writes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.learnt_llama import QUICK, check_runs, compressed, learnt_llama, marked_sentences
from fakes.tiny_model import END
from hypothesis import given
from hypothesis import strategies as st

from upkeep import runtime
from upkeep.compression.distillation import SETTINGS, champion_texts, choose_layers, make_student
from upkeep.compression.taught import soft_loss, taught_by
from upkeep.compression.texts import TextParams, Texts, encode, texts_of
from upkeep.compression.writing import Manner, write_on
from upkeep.errors import ParamError
from upkeep.pretrained import load_model
from upkeep.records import Sample

LESSONS: dict[str, dict[str, Any]] = {
    "distill-logits": {"layers": 2, "steps": 40, "temperature": 2.0},
    "distill-sequences": {"layers": 1, "steps": 40, "new_tokens": 24},
}


def champion() -> tuple[Any, Any, Texts]:
    """The champion, its tokenizer, and the texts as the methods see them."""
    model, tokenizer = load_model(learnt_llama())
    found = texts_of(model, tokenizer, marked_sentences(), TextParams(block_tokens=32))
    assert found is not None
    return model, tokenizer, found


@given(st.integers(0, 50), st.floats(0.5, 8.0))
def test_the_soft_loss_is_the_divergence_times_the_squared_temperature(
    seed: int, temperature: float
) -> None:
    """Summed by hand over the vocabulary, the mean over tokens."""
    generator = torch.Generator().manual_seed(seed)
    ours, theirs = (torch.randn(2, 3, 5, generator=generator) for _ in range(2))
    p = (theirs.double() / temperature).softmax(-1)
    q = (ours.double() / temperature).softmax(-1)
    expected = temperature**2 * float((p * (p / q).log()).sum(-1).mean())
    assert float(soft_loss(ours, theirs, temperature)) == pytest.approx(expected, abs=1e-5)
    assert float(soft_loss(ours, ours, temperature)) == pytest.approx(0.0, abs=1e-6)


def test_the_two_losses_are_mixed_by_the_hard_share_and_judged_by_the_texts() -> None:
    """The teacher gets no gradient."""
    teacher, _, texts = champion()
    student, _ = make_student(teacher, texts, SETTINGS["distill-logits"](layers=1), "m")
    batch = texts.blocks[:2]
    losses = {
        share: float(taught_by(teacher, 2.0, share).players[0].loss(student, batch).detach())
        for share in (0.0, 0.25, 1.0)
    }
    assert losses[0.25] == pytest.approx(0.25 * losses[1.0] + 0.75 * losses[0.0], rel=1e-5)
    task = taught_by(teacher, 2.0, 0.0)
    assert float(task.judge(student, batch).detach()) == pytest.approx(losses[1.0], rel=1e-5)
    task.players[0].loss(student, batch).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())


@pytest.mark.parametrize("method", sorted(LESSONS))
def test_a_student_is_smaller_learns_and_is_told_against_the_control(
    tmp_path: Path, method: str
) -> None:
    """By the same steps, on the same blocks."""
    asked = QUICK | LESSONS[method]
    found, notes = compressed(method, asked, tmp_path / "a")
    assert found["parameters"] < found["parent_parameters"]
    assert found["size_bytes"] < found["parent_size_bytes"]
    assert found["loss_held_out_nats"] < found["unhealed_loss_held_out_nats"] - 0.05
    control = found["control_loss_held_out_nats"]
    assert found["quality_loss_nats"] == pytest.approx(found["loss_held_out_nats"] - control)
    assert "of 3 stay" in notes[0]
    check_runs(tmp_path / "a")
    assert load_model(tmp_path / "a")[0].config.num_hidden_layers == asked["layers"]


@pytest.mark.parametrize("method", sorted(LESSONS))
def test_the_same_lesson_gives_the_same_bytes(tmp_path: Path, method: str) -> None:
    """What is drawn is drawn by the seed."""
    for name in "ab":
        compressed(method, QUICK | LESSONS[method] | {"steps": 2}, tmp_path / name)
    a, b = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert a == b


def test_a_student_may_be_narrower_and_lower(tmp_path: Path) -> None:
    """It begins with the champion's own weights."""
    asked = QUICK | {"layers": 1, "mlp_share": 0.5, "steps": 1, "choice": "even"}
    _, notes = compressed("distill-logits", asked, tmp_path / "out")
    config = load_model(tmp_path / "out")[0].config
    assert (config.num_hidden_layers, config.intermediate_size) == (1, 32)
    assert "layers [0] of 3 stay; 32 of 64 neurons stay" in notes[0]


def test_layers_are_chosen_evenly_or_by_influence() -> None:
    """First and last are kept where two or more are."""
    teacher, _, texts = champion()
    assert choose_layers(teacher, texts, 2, "even") == [0, 2]
    assert choose_layers(teacher, texts, 1, "even") == [0]
    middle = teacher.model.layers[1]
    middle.self_attn.o_proj.weight.data.zero_()
    middle.mlp.down_proj.weight.data.zero_()
    assert choose_layers(teacher, texts, 2, "influence") == [0, 2]


def test_the_champion_writes_what_it_would_serve() -> None:
    """Greedy, each prompt as if it were alone; those that are too long lose their head."""
    teacher, tokenizer, _ = champion()
    prompts = ["loop!", "model!! drift!!! ", "worse", "again!!!! trained? loop!", "loop! " * 60]
    rows = write_on(teacher, encode(tokenizer, prompts), Manner(12))
    server = runtime.load(learnt_llama(), "safetensors")
    for prompt, row in zip(prompts, rows, strict=True):
        served = server.generate(prompt, 12)
        whole = encode(tokenizer, [prompt])[0]
        asked = whole[-(64 - 12) :]
        assert row[: len(asked)] == asked
        assert tokenizer.decode(row[len(asked) :]) == served.text
        assert END not in row


def test_what_is_drawn_follows_the_models_own_distribution() -> None:
    """The first word of many texts, within four standard deviations; the seed decides."""
    teacher, tokenizer, _ = champion()
    prompt = encode(tokenizer, ["loop! "])[0]
    with torch.inference_mode():
        wanted = teacher(input_ids=torch.tensor([prompt])).logits[0, -1].softmax(-1)
    drawn = write_on(teacher, [prompt] * 400, Manner(1, 1.0, seed=3))
    counts = torch.zeros(320)
    for row in drawn:
        counts[row[-1] if len(row) > len(prompt) else END] += 1
    spread = (400 * wanted * (1 - wanted)).sqrt()
    assert ((counts - 400 * wanted).abs() < 4 * spread + 1.5).all()
    assert drawn == write_on(teacher, [prompt] * 400, Manner(1, 1.0, seed=3))
    assert drawn != write_on(teacher, [prompt] * 400, Manner(1, 1.0, seed=4))


def test_nothing_is_written_after_the_end_of_text() -> None:
    """Rows of a batch end at different places."""
    teacher, tokenizer, _ = champion()
    rows = encode(tokenizer, ["loop!", "worse"])
    free = write_on(teacher, rows, Manner(6))
    words = free[0][len(rows[0]) :]
    teacher.config.eos_token_id = [words[2], END]
    ended = write_on(teacher, rows, Manner(6))
    assert ended[0] == [*rows[0], *words[: words.index(words[2])]]
    assert len(ended[1]) <= len(rows[1]) + 6
    teacher.config.eos_token_id = None
    assert [len(row) for row in write_on(teacher, rows, Manner(6))] == [
        len(row) + 6 for row in rows
    ]


def test_sequences_are_trained_on_the_champions_words_and_judged_on_productions() -> None:
    """The references are not among what is trained on."""
    teacher, tokenizer, texts = champion()
    settings = SETTINGS["distill-sequences"](
        layers=1, new_tokens=8, block_tokens=32, prompts=20, temperature=0.0
    )
    found = champion_texts(teacher, tokenizer, texts, settings)
    assert torch.equal(found.held_out, texts.held_out)
    prompts = encode(tokenizer, [s.prompt for s in texts.work[:20]])
    length = sum(len(row) + 1 for row in write_on(teacher, prompts, Manner(8)))
    assert found.blocks.numel() == length // 32 * 32
    assert not torch.equal(found.blocks[0], texts.blocks[0])


@pytest.mark.parametrize("method", sorted(LESSONS))
@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "give layers, mlp_share or both"),
        ({"layers": 0}, "layers: 0"),
        ({"layers": 1, "mlp_share": 1.0}, "mlp_share: 1.0"),
        ({"layers": 1, "choice": "best"}, "choice: 'best'"),
        ({"layers": 1, "lr": math.inf}, "lr: inf"),
        ({"layers": 1, "teacher": "x"}, "teacher"),
    ],
)
def test_params_out_of_range_are_refused_before_anything_is_read(
    tmp_path: Path, method: str, params: dict[str, Any], said: str
) -> None:
    """Even the champion is not looked for."""
    with pytest.raises(ParamError, match=said):
        compressed(method, params, tmp_path / "out", champion=tmp_path / "none")


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("distill-logits", {"temperature": 0.0}, "temperature: 0.0"),
        ("distill-logits", {"hard_share": 1.5}, "hard_share: 1.5"),
        ("distill-sequences", {"new_tokens": 0}, "new_tokens: 0"),
        ("distill-sequences", {"temperature": -1.0}, "temperature: -1.0"),
        ("distill-sequences", {"hard_share": 0.5}, "hard_share"),
        ("distill-logits", {"layers": 3}, "must be less than the champion's 3 layers"),
        ("distill-logits", {"layers": None, "mlp_share": 0.99}, "keeps 64 of 64 neurons"),
    ],
)
def test_a_lesson_that_makes_no_sense_is_refused(
    tmp_path: Path, method: str, params: dict[str, Any], said: str
) -> None:
    """Nothing is written."""
    with pytest.raises(ParamError, match=said):
        compressed(method, QUICK | {"layers": 1} | params, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_texts_and_prompts_are_needed(tmp_path: Path) -> None:
    """A student has nothing else to learn from."""
    for method, params in LESSONS.items():
        with pytest.raises(ParamError, match=f"{method} is calibrated"):
            compressed(method, QUICK | params, tmp_path / "out", samples=[])
    silent = [
        Sample(id=s.id, slice=s.slice, prompt="", reference=s.text) for s in marked_sentences()
    ]
    with pytest.raises(ParamError, match="no prompt that the champion could go on from"):
        compressed(
            "distill-sequences",
            QUICK | LESSONS["distill-sequences"],
            tmp_path / "out",
            samples=silent,
        )
