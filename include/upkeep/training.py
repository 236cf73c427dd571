"""The retraining job: a champion trained further on production's texts and its old ones.

Texts are tokenized by the champion's own tokenizer, joined with its end-of-text token between
them and cut into blocks of equal length, so that no compute goes into padding. What the model
was first trained on is mixed in by the caller, against forgetting (rehearsal: Robins 1995,
"Catastrophic forgetting, rehearsal and pseudorehearsal"). :mod:`upkeep.fitting` is the loop.
"""

from __future__ import annotations

import hashlib
import logging
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upkeep.errors import ArtifactError, ParamError
from upkeep.fitting import OnStep, Settings, fit, use_threads
from upkeep.job_params import read_params
from upkeep.records import Sample

__all__ = [
    "Settings",
    "cut_blocks",
    "distinct_texts",
    "encode",
    "end_id",
    "fit",
    "load_model",
    "retrain",
    "save_model",
    "use_threads",
]

log = logging.getLogger("upkeep.worker")

MIN_BLOCKS = 8
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
)


def retrain(
    champion: Path,
    training: Sequence[Sample],
    evaluation: Sequence[Sample],
    params: dict[str, Any],
    out: Path,
) -> dict[str, float]:
    """Train the safetensors model in ``champion`` further on ``training``; write it to ``out``.

    Texts (prompt + reference) count once. The tokenizer stays as it is, so that losses compare.
    ``evaluation`` is not read but to refuse training on it. Returns :meth:`Fit.measurements`
    and the number of texts.

    Raises:
        ParamError: an unknown or disallowed parameter, a prompt of ``evaluation`` among the
            training texts, too little text.
        ArtifactError: ``champion`` cannot be loaded.
        JobFailed: the loss is not finite any more.

    """
    settings = read_params(Settings, "params", params)
    texts = distinct_texts(training, evaluation)
    use_threads(settings.threads)
    model, tokenizer = load_model(champion)
    blocks = cut_blocks(encode(tokenizer, texts), end_id(model), settings)
    fitted = fit(model, blocks, settings, _log_step(settings))
    save_model(model, champion, out)
    return {**fitted.measurements(), "texts": float(len(texts)), "blocks": float(len(blocks))}


def distinct_texts(training: Sequence[Sample], evaluation: Sequence[Sample]) -> list[str]:
    """The texts to train on, each once, in the order given.

    Raises:
        ParamError: a prompt or text of ``evaluation`` is among them.

    """
    judged = {_same(text) for s in evaluation for text in (s.prompt, s.text) if text.strip()}
    distinct: dict[bytes, str] = {}
    for sample in training:
        if judged & {_same(sample.prompt), _same(sample.text)}:
            rule = "is a text of the evaluation set"
            raise ParamError("training", sample.id, rule, "leave it out of the training")
        if sample.text.strip():
            distinct.setdefault(_same(sample.text), sample.text)
    return list(distinct.values())


def encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without special tokens; lone surrogates become ``?``."""
    clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    return [list(e.ids) for e in tokenizer.encode_batch(clean, add_special_tokens=False)]


def cut_blocks(encoded: Sequence[list[int]], end: int, settings: Settings) -> Any:
    """A tensor [blocks, ``block_tokens``] of all texts in an order of the seed, ``end`` between.

    Raises:
        ParamError: fewer than 8 blocks.

    """
    import torch

    order = random.Random(settings.seed).sample(range(len(encoded)), len(encoded))
    ids = [token for place in order for token in (end, *encoded[place])]
    count = len(ids) // settings.block_tokens
    if count < MIN_BLOCKS:
        raise ParamError(
            "training",
            f"{len(ids)} tokens",
            f"must be at least {MIN_BLOCKS * settings.block_tokens}",
            "train on more days, or with smaller blocks",
        )
    return torch.tensor(ids[: count * settings.block_tokens]).view(count, settings.block_tokens)


def load_model(folder: Path) -> tuple[Any, Any]:
    """The safetensors model in ``folder`` and its tokenizer; nothing else is run or fetched.

    Raises:
        ArtifactError: files are missing or do not fit together.

    """
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8"))
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _unusable(folder, str(error)) from error
    wrong = sorted(str(name) for names in found.values() for name in names)
    if wrong:
        raise _unusable(folder, f"weights do not fit config.json: {wrong[:3]}")
    return model, tokenizer


def save_model(model: Any, tokenizer_from: Path, out: Path) -> None:
    """Write ``model`` as safetensors to ``out``, with the tokenizer files of another folder."""
    model.save_pretrained(out)
    for name in TOKENIZER_FILES:
        if (tokenizer_from / name).is_file():
            shutil.copyfile(tokenizer_from / name, out / name)


def end_id(model: Any) -> int:
    """The id of the model's end of text; the first where it has several, 0 where it has none."""
    found = model.config.eos_token_id
    found = found[0] if isinstance(found, list) else found
    return 0 if found is None else int(found)


def _same(text: str) -> bytes:
    """Texts with the same key are one text: equal up to white space."""
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace")).digest()


def _unusable(folder: Path, why: str) -> ArtifactError:
    return ArtifactError(
        str(folder), folder.name, f"cannot be loaded: {why}", "restore the recorded files"
    )


def _log_step(settings: Settings) -> OnStep:
    def report(step: int, loss: float) -> None:
        if step % settings.check_every == 0:
            log.info("step %d of %d: loss %.3f", step, settings.steps, loss)

    return report
