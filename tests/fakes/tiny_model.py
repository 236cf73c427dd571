"""A real, very small language model: random Llama weights and its own BPE tokenizer.

What it does not prove: anything about quality. It proves that numbers are computed rightly,
because any weights do for that. Built once a test session, in a folder that goes with it.
"""

from __future__ import annotations

import atexit
import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from upkeep.pictures import Pictures
from upkeep.quality import Material, Score, Settings, measure
from upkeep.records import Sample
from upkeep.runtime import Format, Generation, Runtime, TextLoss

CONTEXT = 64
END = 0
WORDS = "the loop closes when a model that drifts is trained again and a worse one never serves"


@cache
def _root() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="upkeep-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def tiny_llama() -> Path:
    """A safetensors folder; read it, copy it, never write into it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = _root() / "llama"
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=END,
    )
    torch.manual_seed(1)
    LlamaForCausalLM(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_tokenizer(folder: Path) -> None:
    """Train a byte-level BPE on a few words and write ``tokenizer.json``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<end>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS] * 2, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))


@cache
def tiny_openvino() -> Path:
    """:func:`tiny_llama` in 8-bit weights, made by the product's own compression."""
    from upkeep.compression.quantization import compress

    folder = _root() / "openvino"
    compress(tiny_llama(), [], "openvino-int8", {}, folder)
    return folder


@cache
def tiny_onnx() -> Path:
    """:func:`tiny_llama` as ONNX in 32 bits, exported by the product's own code in ten seconds."""
    from upkeep.compression.onnx_export import export

    folder = _root() / "onnx"
    export(tiny_llama(), folder)
    return folder


def copy_of(source: Path, target: Path, **config: object) -> Path:
    """A copy that a test may break; ``config`` replaces values of config.json."""
    shutil.copytree(source, target)
    path = target / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return target


def make_samples(count: int, *, slices: Sequence[str] = ("docs", "code")) -> list[Sample]:
    """Samples with a prompt, a reference and a completion that is right in part."""
    words = WORDS.split()
    made = []
    for i in range(count):
        turned = words[i % len(words) :] + words[: i % len(words)]
        made.append(
            Sample(
                id=f"s{i:03d}",
                slice=slices[i % len(slices)],
                prompt=f"{i} " + " ".join(turned[:5]),
                reference=" " + " ".join(turned[5:13]),
                completion=" " + " ".join([*turned[5 : 10 + i % 3], "not", "so"]),
            )
        )
    return made


@dataclass
class FakeRuntime:
    """A runtime whose losses and times are given; it remembers what it was asked."""

    nats_per_char: float = 0.5
    step_ms: float = 1.0
    name: str = "fake"
    format: Format = "safetensors"
    precision: str = "imagined"
    threads: int = 1
    context_tokens: int = 1_000_000
    tokenizer_sha256: str = "0" * 64
    token: int = 1
    calls: list[tuple[str, str]] = field(default_factory=list)

    def nll(self, texts: Sequence[str]) -> list[TextLoss]:
        """One token a character after the first, each costing ``nats_per_char``."""
        tokens = [max(0, len(text) - 1) for text in texts]
        return [TextLoss(self.nats_per_char * n if n else 0.0, n) for n in tokens]

    def generate(self, prompt: str, max_new_tokens: int, *, ignore_end: bool = False) -> Generation:
        """Takes no time and says that it took ``step_ms`` a token."""
        self.calls.append((self.name, prompt))
        assert ignore_end or not math.isnan(self.step_ms)
        tokens = tuple(self.token + n for n in range(max_new_tokens))
        whole_ms = self.step_ms * max_new_tokens
        return Generation("x", len(prompt), max_new_tokens, self.step_ms, whole_ms, tokens)


def scored(
    name: str,
    samples: Sequence[Sample],
    settings: Settings,
    runtime: Runtime | None = None,
    pictures: Pictures | None = None,
) -> Score:
    """The measure of this name over the samples, as the worker calls it."""
    material = Material(samples, settings, lambda: runtime or FakeRuntime(), pictures)
    return measure(name)(material, name)
