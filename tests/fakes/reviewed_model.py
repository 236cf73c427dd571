"""A small model to review, with what a review should find planted in it, or nothing.

What it does not prove: that findings matter on a model that somebody uses.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from fakes.tiny_model import CONTEXT, END, _root, save_tokenizer, tiny_llama

from upkeep.inspections import Material, ReviewParams
from upkeep.records import FileHash, Folder, JobSpec, ModelInput, ReviewFacts, Sample
from upkeep.runtime import Generation, Runtime, load

DAY = date(2026, 3, 18)
PLANTED_BLOCKS = (1, 3)
SOME_MB = 200 * 2**20


@cache
def lazy_llama() -> Path:
    """Five blocks, two of which hand on what they get: their output projections are nearly 0."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = _root() / "lazy"
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=END,
    )
    torch.manual_seed(1)
    model = LlamaForCausalLM(config)
    for place in PLANTED_BLOCKS:
        block = model.model.layers[place]
        block.self_attn.o_proj.weight.data *= 1e-3
        block.mlp.down_proj.weight.data *= 1e-3
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def samples_of(count: int, seed: int, slices: Sequence[str] = ("docs", "code")) -> list[Sample]:
    """Samples that have nothing in common: words drawn from ten thousand."""
    rng = random.Random(seed)
    made = []
    for i in range(count):
        words = [f"w{rng.randrange(10_000)}" for _ in range(24)]
        made.append(
            Sample(
                id=f"{seed}-{i:03d}",
                slice=slices[i % len(slices)],
                prompt=" ".join(words[:12]),
                reference=" " + " ".join(words[12:]),
            )
        )
    return made


def review_job(**changes: Any) -> JobSpec:
    """A review's job; its files lie nowhere."""
    fields: dict[str, Any] = {
        "key": f"docs-assistant/{DAY}/review",
        "kind": "review",
        "model": "docs-assistant",
        "day": DAY,
        "method": "five-inspections",
        "source": model_input(100_000),
        "store_root": "/nowhere",
        "output_prefix": f"docs-assistant/{DAY}/r1/jobs/review",
        "resources": {"cpus": 1},
    }
    return JobSpec.model_validate(fields | changes)


def model_input(size_bytes: int, file_format: str = "safetensors") -> ModelInput:
    """A version whose files have this size."""
    file = FileHash(path="model.bin", size_bytes=size_bytes, sha256="1" * 64)
    folder = Folder(prefix="docs-assistant/versions/1", files=(file,))
    return ModelInput.model_validate({"version": "1", "format": file_format, "folder": folder})


@dataclass
class Case:
    """What a review is given; a test plants something by changing a field."""

    folder: Path | None = field(default_factory=tiny_llama)
    evaluation: list[Sample] = field(default_factory=lambda: samples_of(24, 1))
    training: list[Sample] = field(default_factory=lambda: samples_of(60, 2))
    served: list[Sample] = field(default_factory=lambda: samples_of(60, 3))
    facts: dict[str, Any] = field(default_factory=dict)
    job: dict[str, Any] = field(default_factory=dict)
    runtime: Runtime | None = None
    lock: str | None = "torch==2.13.0\ntransformers==5.5.4\n"

    def material(self) -> Material:
        """As the job makes it."""
        roles = {"evaluation": self.evaluation, "training": self.training, "served": self.served}
        folder = self.folder
        return Material(
            job=review_job(**self.job),
            facts=ReviewFacts.model_validate({"model": "docs-assistant", "day": DAY} | self.facts),
            params=ReviewParams(texts=24, generations=12, new_tokens=2),
            read=lambda role: roles.get(role, []),
            network=lambda: (folder, "1") if folder else None,
            load=lambda: self.runtime or load(tiny_llama(), "safetensors", 1),
            lock=self.lock,
        )


@dataclass
class HungryRuntime:
    """A runtime that keeps some bytes of every request for ever."""

    keeps_bytes: int
    format: str = "openvino"
    precision: str = "imagined"
    threads: int = 1
    context_tokens: int = 64
    tokenizer_sha256: str = "0" * 64
    kept: list[bytearray] = field(default_factory=list)

    def nll(self, texts: Sequence[str]) -> list[Any]:
        """Nobody asks."""
        raise AssertionError(texts)

    def generate(self, prompt: str, max_new_tokens: int, *, ignore_end: bool = False) -> Generation:
        """Keep, and answer at once."""
        self.kept.append(bytearray(b"x") * self.keeps_bytes)
        return Generation("x", len(prompt), max_new_tokens, 1.0, 2.0)
