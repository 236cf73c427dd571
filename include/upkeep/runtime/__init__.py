"""A causal language model on this machine: how likely is a text, and what comes next.

Each file of this folder runs one format behind one small face, :class:`Graph`. Tokenizing,
truncation, batching, the loss and the greedy loop are the same lines for both, so that a
difference between two models is a difference of the models.

Nothing here reaches a network, reads a pickle or runs code that lies beside the weights.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ArtifactError, ParamError

Ids = NDArray[np.int64]
Logits = NDArray[np.float32]
Format = Literal["safetensors", "openvino", "onnx"]

FORMATS: dict[str, str] = {
    "onnx": "upkeep.runtime.onnx",
    "openvino": "upkeep.runtime.openvino",
    "safetensors": "upkeep.runtime.safetensors",
}
"""Name of a format in records -> the module that runs it, imported when used."""

LOGITS_BYTES = 64 * 2**20
"""Upper bound of one batch's logits; a single text may need more and then goes alone."""

PAD = 0
"""Fills short rows of a batch on the right, where causal attention never looks."""


@dataclass(frozen=True)
class TextLoss:
    """The negative log-likelihood of one text, in nats, over ``tokens`` predicted tokens."""

    nll_nats: float
    tokens: int


@dataclass(frozen=True)
class Generation:
    """One greedy continuation. ``tokens_out`` leaves out the end-of-text token.

    ``ttft_ms`` runs from the call to the first chosen token, ``latency_ms`` to the last
    character; both include tokenizing. ``tokens`` are the ids that were chosen.
    """

    text: str
    tokens_in: int
    tokens_out: int
    ttft_ms: float
    latency_ms: float
    tokens: tuple[int, ...] = ()


class Runtime(Protocol):
    """What the measures, the benchmark and the example's server need of a model."""

    @property
    def format(self) -> Format:
        """The files that it was loaded from."""

    @property
    def precision(self) -> str:
        """Weights, arithmetic and cache, as the running model reports them."""

    @property
    def threads(self) -> int:
        """Threads that one step may use."""

    @property
    def context_tokens(self) -> int:
        """The longest sequence that the model was built for."""

    @property
    def tokenizer_sha256(self) -> str:
        """Hash of ``tokenizer.json``: losses per token compare only where it is the same."""

    def nll(self, texts: Sequence[str]) -> list[TextLoss]:
        """Teacher-forced loss of each text, in the order given."""

    def generate(self, prompt: str, max_new_tokens: int, *, ignore_end: bool = False) -> Generation:
        """Greedy continuation of ``prompt`` by at most ``max_new_tokens`` tokens."""


class Graph(Protocol):
    """A loaded network: ids in, logits out. The only part that differs between formats."""

    precision: str

    def logits(self, ids: Ids) -> Logits:
        """Logits [row, position, vocabulary] of whole rows; touches no generation."""

    def begin(self, ids: Ids) -> int:
        """Forget what was before, read one row [1, position], return the likeliest next id."""

    def step(self, token: int) -> int:
        """Append one id to what was read and return the likeliest next id."""


class Decoder:
    """A :class:`Runtime` over a :class:`Graph` and the folder's own tokenizer."""

    def __init__(self, folder: Path, file_format: Format, threads: int, graph: Graph) -> None:
        """Read ``tokenizer.json`` and ``config.json`` of ``folder``; ``graph`` is its network."""
        from tokenizers import Tokenizer

        blob = _read(folder / "tokenizer.json")
        config = json.loads(_read(folder / "config.json"))
        self.format: Format = file_format
        self.threads = threads
        self.precision = graph.precision
        self.tokenizer_sha256 = hashlib.sha256(blob).hexdigest()
        self.context_tokens = int(config["max_position_embeddings"])
        self._ends = _end_ids(config)
        self._graph = graph
        self._tokenizer = Tokenizer.from_str(blob.decode("utf-8"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def nll(self, texts: Sequence[str]) -> list[TextLoss]:
        """Teacher-forced loss of each text, in the order given.

        A text is cut after ``context_tokens`` tokens and the rest is not scored. Its first
        token is predicted from nothing and not scored either: a text of fewer than two tokens
        has ``tokens == 0``.
        """
        rows = [ids[: self.context_tokens] for ids in self._encode_all(texts)]
        losses = [TextLoss(0.0, 0)] * len(rows)
        for batch in self._batches([len(row) for row in rows]):
            for index, loss in zip(batch, self._batch_nll([rows[i] for i in batch]), strict=True):
                losses[index] = loss
        return losses

    def generate(self, prompt: str, max_new_tokens: int, *, ignore_end: bool = False) -> Generation:
        """Greedy continuation; of a prompt that is too long the last tokens are kept.

        ``ignore_end`` goes on after the model's own end of text, so that two models do equal
        work. Raises ParamError unless 1 <= max_new_tokens < context_tokens and the prompt has
        tokens.
        """
        started = time.perf_counter()
        ids = self._prompt_ids(prompt, max_new_tokens)
        token = self._graph.begin(np.asarray([ids], dtype=np.int64))
        first = time.perf_counter()
        out: list[int] = []
        while ignore_end or token not in self._ends:
            out.append(token)
            if len(out) == max_new_tokens:
                break
            token = self._graph.step(token)
        text = self._tokenizer.decode(out, skip_special_tokens=True)
        ended = time.perf_counter()
        return Generation(
            text=text,
            tokens_in=len(ids),
            tokens_out=len(out),
            ttft_ms=(first - started) * 1e3,
            latency_ms=(ended - started) * 1e3,
            tokens=tuple(out),
        )

    def _prompt_ids(self, prompt: str, max_new_tokens: int) -> list[int]:
        if not 1 <= max_new_tokens < self.context_tokens:
            raise ParamError(
                "max_new_tokens",
                max_new_tokens,
                f"must be in [1, {self.context_tokens - 1}], the model's context less one",
                "ask for fewer tokens",
            )
        ids = self._encode_all([prompt])[0][-(self.context_tokens - max_new_tokens) :]
        if not ids:
            raise ParamError("prompt", prompt, "has no tokens", "send a text")
        return ids

    def _encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return [list(found.ids) for found in self._tokenizer.encode_batch(clean)]

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        """Indices of texts of similar length, so that little is padded; within the memory bound."""
        room = LOGITS_BYTES // (4 * self._tokenizer.get_vocab_size())
        batch: list[int] = []
        for index in sorted((i for i, n in enumerate(lengths) if n > 1), key=lengths.__getitem__):
            if batch and (len(batch) + 1) * lengths[index] > room:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _batch_nll(self, rows: list[list[int]]) -> list[TextLoss]:
        width = max(len(row) for row in rows)
        ids = np.full((len(rows), width), PAD, dtype=np.int64)
        for place, row in zip(ids, rows, strict=True):
            place[: len(row)] = row
        surprise = token_nll(self._graph.logits(ids[:, :-1]), ids[:, 1:])
        return [
            TextLoss(float(line[: len(row) - 1].sum()), len(row) - 1)
            for line, row in zip(surprise, rows, strict=True)
        ]


def token_nll(logits: Logits, targets: Ids) -> NDArray[np.float64]:
    """-ln p(target) = ln sum exp(logits) - logits[target], in nats, summed in 64 bits."""
    peak = logits.max(axis=-1, keepdims=True)
    total = np.exp(logits - peak).sum(axis=-1, dtype=np.float64)
    chosen = np.take_along_axis(logits, targets[..., None], axis=-1)
    found: NDArray[np.float64] = np.log(total) - (chosen - peak)[..., 0]
    return found


def load(folder: Path, file_format: Format, threads: int = 1) -> Runtime:
    """Load the model files in ``folder``, whose hashes the caller has verified.

    Raises ArtifactError where files are missing, do not fit together or cannot be run.
    """
    if file_format not in FORMATS:
        raise ArtifactError(
            str(folder), file_format, f"can run {sorted(FORMATS)}", "convert the model"
        )
    try:
        graph = import_module(FORMATS[file_format]).Graph(folder, threads)
        return Decoder(folder, file_format, threads, graph)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ArtifactError(
            str(folder), file_format, f"cannot be loaded: {error}", "restore the recorded files"
        ) from error


def _end_ids(config: dict[str, Any]) -> frozenset[int]:
    """``eos_token_id`` is absent, one id or several."""
    found = config.get("eos_token_id")
    if found is None:
        return frozenset()
    return frozenset(found if isinstance(found, list) else [found])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(
            str(path), path.name, "is missing from the model's folder", "restore it"
        ) from None
