"""The retraining job: what it learns, what it leaves alone, what it refuses."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.tiny_model import END, copy_of, make_samples, tiny_llama
from upkeep import runtime, training
from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder
from upkeep.records import Sample
from upkeep.training import Settings, cut_blocks, distinct_texts, retrain

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
    found = retrain(tiny_llama(), texts(), EVALUATION, QUICK, tmp_path / "out")
    unseen = texts(10, seed=1)
    before = nats_per_token(tiny_llama(), unseen)
    assert nats_per_token(tmp_path / "out", unseen) < before - 1.0
    assert found["loss_held_out_after"] < found["loss_held_out_before"] - 1.0
    assert found["texts"] == 40.0
    assert {"loss_train[20]", "loss_train[40]", "train_s", "tokens"} <= set(found)


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
    with pytest.raises(ParamError, match="must be at least 256"):
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
    assert distinct_texts(samples, []) == ["one", "two", "three"]


def test_empty_evaluation_texts_forbid_nothing() -> None:
    """An empty prompt in both sets is no leak."""
    empty = Sample(id="x", slice="docs", prompt="", reference="")
    with_reference = Sample(id="y", slice="docs", prompt="", reference="words")
    assert distinct_texts([with_reference], [empty]) == ["words"]


def test_blocks_hold_every_text_after_an_end_token() -> None:
    """Texts do not run into each other, and no token is lost but the last incomplete block."""
    encoded = [[place + 1] * 15 for place in range(20)]
    blocks = cut_blocks(encoded, END, Settings(block_tokens=16))
    assert tuple(blocks.shape) == (20, 16)
    assert all(row[0] == END and len(set(row[1:])) == 1 for row in blocks.tolist())
    assert sorted(row[1] for row in blocks.tolist()) == list(range(1, 21))


def test_the_order_of_texts_in_blocks_is_the_seeds() -> None:
    """The same seed, the same blocks; another, others."""
    encoded = [[place + 1] * 15 for place in range(20)]
    made = [
        cut_blocks(encoded, END, Settings(block_tokens=16, seed=seed)).tolist()
        for seed in (1, 1, 2)
    ]
    assert made[0] == made[1] != made[2]


def test_a_lone_surrogate_is_no_crash() -> None:
    """Logs hold what users send."""
    _, tokenizer = training.load_model(tiny_llama())
    assert training.encode(tokenizer, ["a\ud800b"]) == training.encode(tokenizer, ["a?b"])


@pytest.mark.parametrize(("config", "expected"), [(3, 3), ([5, 6], 5), (None, 0)])
def test_the_end_token_is_the_models_own(config: object, expected: int) -> None:
    """One, several or none, as configurations have it."""
    model, _ = training.load_model(tiny_llama())
    model.config.eos_token_id = config
    assert training.end_id(model) == expected


def test_settings_are_plain_json() -> None:
    """They come out of a job's file."""
    assert Settings.model_validate(json.loads(Settings().model_dump_json())) == Settings()


def test_references_are_trained_on_too() -> None:
    """A production text is its prompt and what really came next."""
    samples = make_samples(2)
    assert distinct_texts(samples, []) == [s.prompt + s.reference for s in samples]
