"""Train ``docs-assistant`` from nothing: ``python -m examples.docs_assistant.train --out DIR``.

A Llama of 2.1 million parameters with its own byte-level BPE tokenizer, on the documentation of
this Python. Leaves ``DIR/model`` (safetensors, config, tokenizer) and
``DIR/training/prose.jsonl``, the texts that a later retraining mixes in.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from examples.docs_assistant import corpus
from upkeep.records import Sample, canonical_json

Progress = Callable[[str], None]

VOCABULARY = 4096
CONTEXT_TOKENS = 512
END = "<end>"
STEPS, LEARNING_RATE = 320, 2e-3
THREADS = 1  # the servers start on the other core meanwhile
REPORT_EVERY = 100
# Documentation indents its examples: runs of spaces are tokens of their own.
INDENTED_LINES = tuple("\n" + " " * width + "x" for width in (4, 8, 12, 16, 20)) * 40


def train_base(out: Path, seed: int = 0, progress: Progress = print) -> Path:
    """Train the model and return its folder, ``out/model``; a finished ``out`` is adopted.

    The same Python, seed and machine give the same weights. ``out`` appears when it is whole.
    """
    if out.exists():
        progress(f"{out} is there already")
        return out / "model"
    started = time.monotonic()
    samples = [
        Sample(id=f"prose-{place:05d}", slice="docs", prompt=text)
        for place, text in enumerate(corpus.load().training)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        made = Path(folder) / "made"
        _train(samples, made / "model", seed, progress)
        _write_samples(made / "training" / "prose.jsonl", samples)
        shutil.move(made, out)
    progress(f"trained in {time.monotonic() - started:.0f} s: {out}")
    return out / "model"


def new_tokenizer(texts: Sequence[str]) -> Any:
    """A byte-level BPE tokenizer (Sennrich, Haddow & Birch 2016) of ``texts``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, *INDENTED_LINES], trainer)
    return tokenizer


def new_model(vocabulary: int) -> Any:
    """A small Llama with weights drawn from PyTorch's seed."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=0,
            pad_token_id=0,
        )
    )


def _train(samples: Sequence[Sample], out: Path, seed: int, progress: Progress) -> None:
    import torch
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging

    from upkeep import fitting, text_blocks, training

    settings = training.TrainParams(
        steps=STEPS,
        lr=LEARNING_RATE,
        seed=seed,
        check_every=REPORT_EVERY,
        patience=STEPS,
        threads=THREADS,
    )
    fitting.use_threads(settings.threads)
    torch.manual_seed(seed)
    tokenizer = new_tokenizer([sample.text for sample in samples])
    model = new_model(tokenizer.get_vocab_size())
    slices = text_blocks.encode_slices(tokenizer, samples)
    blocks, held_out = text_blocks.cut_blocks(slices, text_blocks.end_id(model), settings)
    weights = sum(p.numel() for p in model.parameters())
    progress(f"{weights / 1e6:.1f} million weights, {blocks.numel()} tokens of prose")

    def report(step: int, loss: float) -> None:
        if step % REPORT_EVERY == 0:
            progress(f"step {step} of {STEPS}: loss {loss:.2f}")

    fitted = fitting.fit(model, blocks, held_out, settings, report)
    progress(f"held-out loss {fitted.curve[0].held_out:.2f} -> {fitted.kept.held_out:.2f}")
    logging.disable_progress_bar()
    model.save_pretrained(out)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, model_max_length=CONTEXT_TOKENS
    ).save_pretrained(out)


def _write_samples(path: Path, samples: Sequence[Sample]) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(canonical_json(s.model_dump(mode="json")) + b"\n" for s in samples))


def main(argv: Sequence[str] | None = None) -> None:
    """Train into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    train_base(
        arguments.out,
        arguments.seed,
        progress=lambda words: print(f"    {words}", file=sys.stderr, flush=True),
    )


if __name__ == "__main__":
    main()
