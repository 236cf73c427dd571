"""A real, very small language model that has learnt something, and the texts that it learnt.

Sentences in which each word is followed by its own number of marks: after a word the marks are
certain, the next word is not. What it does not prove: how much a method loses on a language.
"""

from __future__ import annotations

import atexit
import json
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from fakes.tiny_model import CONTEXT, END, save_tokenizer

from upkeep.fitting import FitParams, fit
from upkeep.pretrained import load_model
from upkeep.records import Sample

WORDS = ("loop!", "model!!", "drift!!!", "again!!!!", "worse", "trained?")
QUICK: dict[str, Any] = {
    "steps": 30,
    "lr": 3e-3,
    "batch_blocks": 4,
    "check_every": 15,
    "threads": 1,
}
"""Settings of a training that is over in a second."""


def marked_sentences(count: int = 60, seed: int = 0) -> list[Sample]:
    """Samples whose text follows the rule."""
    rng = random.Random(seed)
    return [
        Sample(
            id=f"{seed}-{i:03d}",
            slice="docs",
            prompt=f"{seed}{i} ",
            reference=" ".join(rng.choice(WORDS) for _ in range(14)),
        )
        for i in range(count)
    ]


@cache
def learnt_llama() -> Path:
    """A safetensors folder with tied embeddings; read it, copy it, never write into it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from upkeep.compression.texts import TextParams, encode, pack_texts

    folder = Path(tempfile.mkdtemp(prefix="upkeep-learnt-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=END,
    )
    torch.manual_seed(2)
    model = LlamaForCausalLM(config)
    save_tokenizer(folder)
    model.save_pretrained(folder)
    model, tokenizer = load_model(folder)
    rows = encode(tokenizer, [s.text for s in marked_sentences(200, seed=9)])
    blocks = pack_texts(model, rows, TextParams(block_tokens=32))
    settings = FitParams(steps=90, lr=1.2e-2, batch_blocks=6, check_every=90, threads=1)
    fit(model, blocks[16:], blocks[:16], settings)
    model.save_pretrained(folder)
    return folder


def compressed(
    method: str,
    params: dict[str, Any],
    out: Path,
    *,
    champion: Path | None = None,
    samples: list[Sample] | None = None,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Run a method as the worker does, on the learnt model and its kind of texts."""
    from upkeep.compression import compression

    texts = marked_sentences() if samples is None else samples
    settings = {"block_tokens": 32} | params
    return compression(method)(champion or learnt_llama(), texts, method, settings, out)


@cache
def made(method: str, asked: str) -> tuple[Path, dict[str, float], tuple[str, ...]]:
    """What a method gives for params written as JSON; made once, for many tests to look at."""
    out = Path(tempfile.mkdtemp(prefix="upkeep-made-")) / "model"
    atexit.register(shutil.rmtree, out.parent, ignore_errors=True)
    return out, *compressed(method, json.loads(asked), out)


def weights_of(folder: Path) -> dict[str, Any]:
    """Every weight of a folder as the loader gives it."""
    found: dict[str, Any] = load_model(folder)[0].state_dict()
    return found


def logits_of(model: Any) -> Any:
    """What a model makes of a few fixed ids."""
    import torch

    with torch.inference_mode():
        return model(input_ids=torch.arange(48).view(2, 24) * 5 % 300, use_cache=False).logits


def check_runs(folder: Path) -> None:
    """Return only if the folder may be loaded, and its model writes."""
    from upkeep import runtime
    from upkeep.model_files import check_model_folder

    check_model_folder(folder, "safetensors")
    assert runtime.load(folder, "safetensors").generate("loop!", 4, ignore_end=True).tokens_out == 4
    assert str(learnt_llama()) not in (folder / "config.json").read_text()
