"""Whether a tokenizer belongs to the model beside it: ids, special tokens, embedding rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from upkeep.formats import refuse

TOKENIZER = "tokenizer.json"
# Vocabularies are padded to round numbers: this many rows may have no token, or this share.
MAX_SPARE_ROWS, MAX_SPARE_SHARE = 1024, 0.05
SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "lm_head.weight")


def check_tokenizer(
    folder: Path,
    config: Mapping[str, Any],
    tokenizer: Any,
    shapes: Mapping[str, tuple[int, ...]],
) -> None:
    """Return if the model has no vocabulary, or one that fits its tokenizer and its weights.

    ``shapes`` are of the weights by name, as far as the format knows them.

    Raises:
        ArtifactError: the tokenizer is missing, broken, or another model's.

    """
    size = _vocabulary_size(folder / "config.json", config)
    if size is None:
        return
    file = folder / TOKENIZER
    if tokenizer is None:
        refuse(file, TOKENIZER, "is missing, and the config has a vocabulary", "add the file")
    ids = _token_ids(file, tokenizer)
    _check_ids(file, ids, size)
    for key, number in _special_ids(config):
        if number not in ids:
            refuse(folder / "config.json", f"{key}: {number}", "is no token", "add its tokenizer")
    for name, shape in shapes.items():
        if name.endswith(EMBEDDINGS) and shape and shape[0] != size:
            rule = f"has {shape[0]} rows where the config says {size} tokens"
            refuse(folder / "config.json", name, rule, "restore the recorded files")


def _vocabulary_size(file: Path, config: Mapping[str, Any]) -> int | None:
    inner = config.get("text_config")
    size = config.get("vocab_size", inner.get("vocab_size") if isinstance(inner, dict) else None)
    if size is not None and (type(size) is not int or size < 1):
        refuse(file, size, "vocab_size is not a count", "restore the recorded file")
    return size


def _token_ids(file: Path, tokenizer: Any) -> set[int]:
    """The ids of a ``tokenizer.json``: of its vocabulary and of its added tokens."""
    try:
        vocabulary = tokenizer["model"]["vocab"]
        ordered = isinstance(vocabulary, list)  # Unigram: the place in the list is the id
        found = list(range(len(vocabulary)) if ordered else vocabulary.values())
        added = [token["id"] for token in tokenizer.get("added_tokens") or []]
    except (KeyError, TypeError, AttributeError) as error:
        rule = f"is no tokenizer ({type(error).__name__})"
        refuse(file, TOKENIZER, rule, "restore the recorded file")
    if not all(type(number) is int for number in (*found, *added)) or len(set(found)) < len(found):
        refuse(file, TOKENIZER, "has ids that are no numbers, or twice", "restore the file")
    return {*found, *added}


def _check_ids(file: Path, ids: set[int], size: int) -> None:
    if not ids or min(ids) < 0 or max(ids) >= size:
        value = f"{len(ids)} ids up to {max(ids, default=None)}"
        refuse(file, value, f"the model has {size} tokens", "add the model's own tokenizer")
    spare = size - len(ids)
    if spare > max(MAX_SPARE_ROWS, MAX_SPARE_SHARE * size):
        rule = f"leaves {spare} of the model's {size} tokens unused"
        refuse(file, f"{len(ids)} ids", rule, "add the model's own tokenizer")


def _special_ids(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in SPECIAL:
        value = config.get(key)
        for number in value if isinstance(value, list) else [value]:
            unset = number is None or (key == "pad_token_id" and number == -1)
            if not unset:
                yield key, number
