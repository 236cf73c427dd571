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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from upkeep.errors import ArtifactError, ParamError
from upkeep.fitting import FitParams, OnStep, fit, use_threads
from upkeep.job_params import read_params
from upkeep.records import Sample

__all__ = [
    "TrainParams",
    "cut_blocks",
    "distinct_samples",
    "encode_slices",
    "end_id",
    "fit",
    "load_model",
    "retrain",
    "save_model",
    "slice_repeats",
    "use_threads",
]

Ids = list[int]

log = logging.getLogger("upkeep.worker")

MIN_BLOCKS = 8
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
)


class TrainParams(FitParams):
    """The loop's settings, and how texts are dealt out.

    ``held_out_share`` of the texts of each slice are not trained on: the loop judges itself on
    them. A slice of n tokens gets a share of the training in proportion to
    n ** ``slice_exponent``: 1 leaves slices as they are, 0 makes them equal. New traffic is a
    small slice at first; 0.3 is what XLM-R took for rare languages (arXiv:1911.02116).
    """

    held_out_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.05
    slice_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3


def retrain(
    champion: Path,
    training: Sequence[Sample],
    evaluation: Sequence[Sample],
    params: dict[str, Any],
    out: Path,
) -> dict[str, float]:
    """Train the safetensors model in ``champion`` further on ``training``; write it to ``out``.

    Texts (prompt + reference) count once. The tokenizer stays as it is, so that losses compare.
    ``evaluation`` is not read but to refuse training on it. Returns
    :meth:`upkeep.fitting.Fit.measurements` with the number of texts and of tokens of each slice.

    Raises:
        ParamError: an unknown or disallowed parameter, a prompt of ``evaluation`` among the
            training texts, too little text.
        ArtifactError: ``champion`` cannot be loaded.
        JobFailed: the loss is not finite any more.

    """
    settings = read_params(TrainParams, "params", params)
    samples = distinct_samples(training, evaluation)
    use_threads(settings.threads)
    model, tokenizer = load_model(champion)
    slices = encode_slices(tokenizer, samples)
    blocks, held_out = cut_blocks(slices, end_id(model), settings)
    fitted = fit(model, blocks, held_out, settings, _log_step(settings))
    save_model(model, champion, out)
    return {
        **fitted.measurements(),
        **{f"tokens[{name}]": float(sum(map(len, texts))) for name, texts in slices.items()},
        "texts": float(len(samples)),
    }


def distinct_samples(training: Sequence[Sample], evaluation: Sequence[Sample]) -> list[Sample]:
    """The samples to train on: each text once, however it is spaced, none of them empty.

    Raises:
        ParamError: a prompt or text of ``evaluation`` is among them.

    """
    judged = {_same(text) for s in evaluation for text in (s.prompt, s.text) if text.strip()}
    distinct: dict[bytes, Sample] = {}
    for sample in training:
        if judged & {_same(sample.prompt), _same(sample.text)}:
            rule = "is a text of the evaluation set"
            raise ParamError("training", sample.id, rule, "leave it out of the training")
        if sample.text.strip():
            distinct.setdefault(_same(sample.text), sample)
    return list(distinct.values())


def encode_slices(tokenizer: Any, samples: Sequence[Sample]) -> dict[str, list[Ids]]:
    """Token ids of the samples' texts by slice, without special tokens.

    A lone surrogate becomes ``?``.
    """
    clean = [sample.text.encode("utf-8", "replace").decode("utf-8") for sample in samples]
    slices: dict[str, list[Ids]] = {sample.slice: [] for sample in samples}
    found = tokenizer.encode_batch(clean, add_special_tokens=False)
    for sample, encoding in zip(samples, found, strict=True):
        slices[sample.slice].append(list(encoding.ids))
    return slices


def cut_blocks(
    slices: Mapping[str, Sequence[Ids]], end: int, settings: TrainParams
) -> tuple[Any, Any]:
    """Blocks to train on and blocks held out: tensors [blocks, ``block_tokens``], ``end`` between.

    Texts of small slices are repeated, in both alike; no text is in both. The seed gives the order.

    Raises:
        ParamError: fewer than 8 blocks to train on, or none held out.

    """
    rng = random.Random(settings.seed)
    repeats = slice_repeats({k: sum(map(len, v)) for k, v in slices.items()}, settings)
    training: list[Ids] = []
    held_out: list[Ids] = []
    for name in sorted(slices):
        texts = rng.sample(slices[name], len(slices[name]))
        judged = round(len(texts) * settings.held_out_share) or min(1, len(texts) - 1)
        held_out += texts[:judged] * repeats[name]
        training += texts[judged:] * repeats[name]
    rng.shuffle(training)
    return _pack(training, end, settings, MIN_BLOCKS), _pack(held_out, end, settings, 1)


def slice_repeats(tokens: Mapping[str, int], settings: TrainParams) -> dict[str, int]:
    """How often the texts of each slice are taken, from its number of tokens; at least once."""
    most = max(tokens.values(), default=0)
    power = 1.0 - settings.slice_exponent
    return {name: max(1, round((most / max(1, n)) ** power)) for name, n in tokens.items()}


def _pack(texts: Sequence[Ids], end: int, settings: TrainParams, least: int) -> Any:
    import torch

    ids = [token for text in texts for token in (end, *text)]
    size = settings.block_tokens
    count = len(ids) // size
    if count < least:
        rule = f"must be at least {least * size} {'held out' if least == 1 else 'to train on'}"
        fix = "train on more days, or with smaller blocks"
        raise ParamError("training", f"{len(ids)} tokens", rule, fix)
    return torch.tensor(ids[: count * size]).view(count, size)


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


def _log_step(settings: TrainParams) -> OnStep:
    def report(step: int, loss: float) -> None:
        if step % settings.check_every == 0:
            log.info("step %d of %d: loss %.3f", step, settings.steps, loss)

    return report
