"""Training from nothing, on a small part of the corpus and for a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples.docs_assistant import corpus, train
from examples.docs_assistant.corpus import Corpus
from tests.fakes.tiny_model import make_samples
from upkeep.model_files import check_model_folder
from upkeep.records import Sample
from upkeep.runtime import load
from upkeep.training import retrain

TEXTS = tuple(
    f"{s.prompt} is what the documentation says of item {s.text}. " * 6 for s in make_samples(60)
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model after six steps."""
    out = tmp_path_factory.mktemp("state") / "deep" / "base"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "load", lambda: Corpus(TEXTS, (), ()))
        patch.setattr(train, "STEPS", 6)
        patch.setattr(train, "REPORT_EVERY", 3)
        said: list[str] = []
        assert train.train_base(out, progress=said.append) == out / "model"
        assert any(words.startswith("step 6 of 6: loss") for words in said)
    return out


def test_the_folder_may_be_loaded_by_the_product(base: Path) -> None:
    """Safe, whole, of one format."""
    check_model_folder(base / "model", "safetensors")
    found = load(base / "model", "safetensors")
    assert found.context_tokens == train.CONTEXT_TOKENS
    assert found.generate("is what the", 3).tokens_out <= 3


def test_transformers_loads_it_offline_with_the_same_tokens(base: Path) -> None:
    """``AutoTokenizer`` and ``AutoModelForCausalLM``, without remote code."""
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = base / "model"
    theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = "is what the\n        documentation says"
    assert theirs(text)["input_ids"] == ours.encode(text).ids
    assert theirs.decode(ours.encode(text).ids) == text
    assert theirs.eos_token_id == 0
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert model.config.eos_token_id == 0
    assert model.generation_config.eos_token_id == 0
    assert not model.config.to_dict().get("auto_map")


def test_an_indentation_is_one_token(base: Path) -> None:
    """Else a line of code would cost a token a space."""
    from tokenizers import Tokenizer

    ours = Tokenizer.from_file(str(base / "model" / "tokenizer.json"))
    assert len(ours.encode("\n            x").ids) <= 3


def test_six_steps_learn_something(base: Path, tmp_path: Path) -> None:
    """Measured against the same weights before training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "load", lambda: Corpus(TEXTS, (), ()))
        patch.setattr(train, "STEPS", 1)
        patch.setattr(train, "LEARNING_RATE", 1e-9)
        train.train_base(tmp_path / "raw", progress=lambda _: None)
    raw, learnt = (load(folder / "model", "safetensors") for folder in (tmp_path / "raw", base))
    assert raw.tokenizer_sha256 == learnt.tokenizer_sha256
    assert learnt.nll(TEXTS[:1])[0].nll_nats < 0.9 * raw.nll(TEXTS[:1])[0].nll_nats


def test_the_training_texts_lie_beside_the_model(base: Path) -> None:
    """As samples, each once, for a later retraining to mix in."""
    lines = (base / "training" / "prose.jsonl").read_bytes().splitlines()
    samples = [Sample.model_validate_json(line) for line in lines]
    assert [s.prompt for s in samples] == list(TEXTS)
    assert len({s.id for s in samples}) == len(samples)
    assert json.loads(lines[0])["slice"] == "docs"


def test_the_product_retrains_what_was_trained_here(base: Path, tmp_path: Path) -> None:
    """Model, tokenizer and texts fit the retraining job as they are."""
    lines = (base / "training" / "prose.jsonl").read_bytes().splitlines()
    samples = [Sample.model_validate_json(line) for line in lines]
    params = {"steps": 2, "block_tokens": 64, "threads": 1}
    retrain(base / "model", samples, make_samples(2), params, tmp_path / "out")
    check_model_folder(tmp_path / "out", "safetensors")
    assert (tmp_path / "out" / "tokenizer_config.json").is_file()


def test_a_finished_training_is_adopted(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a second of work is done twice."""

    def never() -> Corpus:
        raise AssertionError("trained again")

    monkeypatch.setattr(corpus, "load", never)
    said: list[str] = []
    assert train.train_base(base, progress=said.append) == base / "model"
    assert said == [f"{base} is there already"]


def test_a_training_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next try starts afresh, and finds no half a model."""

    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(corpus, "load", lambda: Corpus(TEXTS, (), ()))
    monkeypatch.setattr(train, "_write_samples", fail)
    monkeypatch.setattr(train, "_train", lambda *_: None)
    with pytest.raises(RuntimeError, match="no memory"):
        train.train_base(tmp_path / "base", progress=lambda _: None)
    assert list(tmp_path.iterdir()) == []
