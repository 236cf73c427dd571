"""The retraining job: what it learns, what it leaves alone, what it refuses."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.tiny_model import END, copy_of, make_samples, tiny_llama
from upkeep import runtime
from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder
from upkeep.pretrained import load_model
from upkeep.records import Sample
from upkeep.text_blocks import (
    cut_blocks,
    distinct_samples,
    encode_slices,
    end_id,
    slice_repeats,
)
from upkeep.training import TrainParams, retrain

QUICK: dict[str, Any] = {
    "steps": 40,
    "lr": 3e-3,
    "block_tokens": 32,
    "batch_blocks": 4,
    "check_every": 20,
    "threads": 1,
}
EVALUATION = [
    Sample(id="e", slice="docs", prompt="a loop that never serves", reference=" a model again")
]


def texts(number: int = 40, seed: int = 0) -> list[Sample]:
    """Sentences with a rule: each word is followed by its own number of marks."""
    rng = random.Random(seed)
    words = ["loop!", "model!!", "drift!!!", "again!!!!"]
    return [
        Sample(id=f"t{i}", slice="docs", prompt=f"{seed}-{i} ", reference=" ".join(line))
        for i in range(number)
        for line in [[rng.choice(words) for _ in range(12)]]
    ]


def nats_per_token(folder: Path, samples: list[Sample]) -> float:
    """Measure texts as production's evaluation does."""
    found = runtime.load(folder, "safetensors").nll([s.text for s in samples])
    return sum(loss.nll_nats for loss in found) / sum(loss.tokens for loss in found)


def test_a_retrained_model_finds_new_texts_of_the_same_kind_likelier(tmp_path: Path) -> None:
    """Measured by the runtime that serves, on texts that were not trained on."""
    found, _ = retrain(tiny_llama(), texts(), EVALUATION, QUICK, tmp_path / "out")
    unseen = texts(10, seed=1)
    before = nats_per_token(tiny_llama(), unseen)
    assert nats_per_token(tmp_path / "out", unseen) < before - 1.0
    assert found["loss_held_out_after"] < found["loss_held_out_before"] - 1.0
    assert found["texts"] == 40.0
    assert {"loss_train[20]", "loss_train[40]", "train_s", "tokens[docs]"} <= set(found)


def test_the_retrained_folder_is_safe_whole_and_keeps_the_tokenizer(tmp_path: Path) -> None:
    """The gate compares losses per token: they must be the same tokens."""
    out = tmp_path / "out"
    out.mkdir()  # as the worker does
    retrain(tiny_llama(), texts(), EVALUATION, QUICK | {"steps": 2}, out)
    check_model_folder(out, "safetensors")
    assert (out / "tokenizer.json").read_bytes() == (tiny_llama() / "tokenizer.json").read_bytes()
    assert not list(out.glob("*.bin"))


def test_the_champion_is_left_as_it_is(tmp_path: Path) -> None:
    """A job reads its source and writes its candidate."""
    source = copy_of(tiny_llama(), tmp_path / "source")
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    retrain(source, texts(), EVALUATION, QUICK | {"steps": 2}, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before


def test_the_same_job_twice_gives_the_same_model(tmp_path: Path) -> None:
    """Within the tolerance of floats."""
    import torch
    from safetensors.torch import load_file

    made = []
    for name in ("first", "second"):
        retrain(tiny_llama(), texts(), EVALUATION, QUICK | {"steps": 5}, tmp_path / name)
        made.append(load_file(tmp_path / name / "model.safetensors"))
    assert made[0].keys() == made[1].keys()
    assert all(torch.allclose(made[0][k], made[1][k], atol=1e-6) for k in made[0])


@pytest.mark.parametrize("place", ["prompt", "text"])
def test_training_on_the_evaluation_set_is_refused(tmp_path: Path, place: str) -> None:
    """Whether a training text has the judged prompt, or is the judged text as one prompt."""
    judged = EVALUATION[0]
    leak = judged.prompt + " " if place == "prompt" else "\n" + judged.text
    samples = [*texts(), Sample(id="leak", slice="docs", prompt=leak)]
    with pytest.raises(ParamError, match="'leak': is a text of the evaluation set"):
        retrain(tiny_llama(), samples, EVALUATION, QUICK, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    """With what there is and what is needed."""
    with pytest.raises(ParamError, match="must be at least 256 to train on"):
        retrain(tiny_llama(), texts(1), EVALUATION, QUICK, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_text_at_all_is_refused(tmp_path: Path) -> None:
    """Not a crash."""
    with pytest.raises(ParamError, match="0 tokens"):
        retrain(tiny_llama(), [], EVALUATION, QUICK, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step", 10),
        ("steps", 0),
        ("steps", 10.5),
        ("steps", "10"),
        ("steps", True),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("minutes", -1.0),
        ("seed", -1),
        ("batch_blocks", 0),
        ("block_tokens", 4),
        ("held_out_share", 1.0),
        ("held_out_share", 0.0),
        ("slice_exponent", 1.5),
        ("threads", 0),
    ],
)
def test_a_parameter_that_is_not_allowed_is_refused(
    tmp_path: Path, name: str, value: object
) -> None:
    """By its name, before anything is loaded."""
    with pytest.raises(ParamError, match=rf"params\.{name}"):
        retrain(tmp_path / "no such model", texts(), EVALUATION, {name: value}, tmp_path / "out")


def test_a_missing_weight_is_not_made_up(tmp_path: Path) -> None:
    """Transformers would draw it at random, with a warning that nobody reads."""
    from safetensors.torch import load_file, save_file

    source = copy_of(tiny_llama(), tmp_path / "source")
    tensors = load_file(source / "model.safetensors")
    name = next(k for k in tensors if "down_proj" in k)
    save_file({k: v for k, v in tensors.items() if k != name}, source / "model.safetensors")
    with pytest.raises(ArtifactError, match="weights do not fit"):
        retrain(source, texts(), EVALUATION, QUICK, tmp_path / "out")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_with_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    """Offline, in one error, and nothing is fetched."""
    source = copy_of(tiny_llama(), tmp_path / "source")
    (source / name).unlink()
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        retrain(source, texts(), EVALUATION, QUICK, tmp_path / "out")


def test_code_that_lies_beside_the_weights_is_not_run(tmp_path: Path) -> None:
    """``auto_map`` names a module of the folder; it is never imported."""
    source = copy_of(
        tiny_llama(),
        tmp_path / "source",
        model_type="mine",
        auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"},
    )
    (source / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        retrain(source, texts(), EVALUATION, QUICK, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def test_a_text_counts_once_however_it_is_spaced() -> None:
    """The first one stays, in its place; an empty one goes."""
    prompts = ["one", "two", "", "one", "  two\n", "three"]
    samples = [Sample(id=str(i), slice="docs", prompt=p) for i, p in enumerate(prompts)]
    assert [s.id for s in distinct_samples(samples, [])] == ["0", "1", "5"]


def test_empty_evaluation_texts_forbid_nothing() -> None:
    """An empty prompt in both sets is no leak."""
    empty = Sample(id="x", slice="docs", prompt="", reference="")
    with_reference = Sample(id="y", slice="docs", prompt="", reference="words")
    assert distinct_samples([with_reference], [empty]) == [with_reference]


def numbered(count: int, first: int = 0) -> list[list[int]]:
    """Encoded texts of 15 tokens, each of its own number."""
    return [[first + place + 1] * 15 for place in range(count)]


def numbers(blocks: Any) -> list[int]:
    """Which texts the blocks of 16 tokens hold; each begins with the end token."""
    assert all(row[0] == END and len(set(row[1:])) == 1 for row in blocks.tolist())
    return [row[1] for row in blocks.tolist()]


def test_every_text_is_trained_on_or_held_out_and_no_text_is_both() -> None:
    """Each after an end token, so that texts do not run into each other."""
    params = TrainParams(block_tokens=16, held_out_share=0.25)
    blocks, held_out = cut_blocks({"docs": numbered(20)}, END, params)
    assert len(numbers(held_out)) == 5
    assert sorted(numbers(blocks) + numbers(held_out)) == list(range(1, 21))


def test_a_small_slice_is_repeated_in_both_parts() -> None:
    """The loop judges itself on the mixture that it trains on."""
    params = TrainParams(block_tokens=16, held_out_share=0.25, slice_exponent=0.5)
    slices = {"docs": numbered(64), "editor": numbered(4, first=100)}
    blocks, held_out = cut_blocks(slices, END, params)
    rare = [n for n in numbers(blocks) if n > 100]
    judged = [n for n in numbers(held_out) if n > 100]
    assert (len(rare), len(set(rare))) == (12, 3)
    assert (len(judged), len(set(judged))) == (4, 1)
    assert not set(rare) & set(judged)
    assert len([n for n in numbers(blocks) if n <= 100]) == 48


@pytest.mark.parametrize(("exponent", "expected"), [(1.0, 1), (0.5, 4), (0.0, 16)])
def test_the_exponent_says_how_much_a_small_slice_counts(exponent: float, expected: int) -> None:
    """Of a sixteenth of the tokens: as it is, a quarter, as much as the large one."""
    params = TrainParams(slice_exponent=exponent)
    found = slice_repeats({"docs": 16_000, "editor": 1_000, "none": 0}, params)
    assert found["docs"] == 1
    assert found["editor"] == expected


def test_a_slice_of_one_text_is_trained_on() -> None:
    """Nothing of it can be held out."""
    params = TrainParams(block_tokens=16, slice_exponent=1.0)
    slices = {"docs": numbered(40), "editor": numbered(1, first=100)}
    blocks, held_out = cut_blocks(slices, END, params)
    assert 101 in numbers(blocks)
    assert 101 not in numbers(held_out)


def test_the_order_of_texts_in_blocks_is_the_seeds() -> None:
    """The same seed, the same blocks; another, others."""
    made = [
        cut_blocks({"docs": numbered(20)}, END, TrainParams(block_tokens=16, seed=seed))[0].tolist()
        for seed in (1, 1, 2)
    ]
    assert made[0] == made[1] != made[2]


def test_nothing_held_out_is_refused() -> None:
    """Then nobody could say when to stop."""
    params = TrainParams(block_tokens=16)
    with pytest.raises(ParamError, match="16 held out"):
        cut_blocks({"docs": [[1] * 1000]}, END, params)


def test_a_lone_surrogate_is_no_crash() -> None:
    """Logs hold what users send."""
    _, tokenizer = load_model(tiny_llama())
    samples = [Sample(id=p, slice="docs", prompt=p) for p in ("a?b", "c")]
    odd = samples[0].model_copy(update={"prompt": "a\ud800b"})
    assert encode_slices(tokenizer, [odd]) == encode_slices(tokenizer, samples[:1])


@pytest.mark.parametrize(("config", "expected"), [(3, 3), ([5, 6], 5), (None, 0)])
def test_the_end_token_is_the_models_own(config: object, expected: int) -> None:
    """One, several or none, as configurations have it."""
    model, _ = load_model(tiny_llama())
    model.config.eos_token_id = config
    assert end_id(model) == expected


def test_settings_are_plain_json() -> None:
    """They come out of a job's file."""
    known = TrainParams()
    assert TrainParams.model_validate(json.loads(known.model_dump_json())) == known


def test_references_are_trained_on_too() -> None:
    """A production text is its prompt and what really came next."""
    samples = make_samples(2)
    _, tokenizer = load_model(tiny_llama())
    [ids] = encode_slices(tokenizer, samples[:1]).values()
    assert tokenizer.decode(ids[0]) == samples[0].prompt + samples[0].reference
