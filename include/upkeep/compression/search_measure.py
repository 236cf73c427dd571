"""One trial: make the model by its steps, and measure it beside the champion, in turn.

The yardstick are the texts that the search keeps for itself, chosen by a hash of their id: the
gate's evaluation set is never looked at, and no method calibrates or trains on them.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from upkeep import benchmark as bench
from upkeep import stats
from upkeep.compression.chain import size_bytes
from upkeep.compression_methods import control_gain_nats
from upkeep.errors import ParamError
from upkeep.model_files import check_model_folder, format_of
from upkeep.records import Measured, PairedTimes, Sample, sha256_hex
from upkeep.runtime import Format, Runtime, load
from upkeep.search_params import SearchParams
from upkeep.student import student_t_quantile

MIN_DEV = 10
OUT_OF = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)
OUT_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc")


class Parts(NamedTuple):
    """The training texts of a search: what methods may see, and what judges."""

    calibration: list[Sample]
    dev: list[Sample]


def split(samples: Sequence[Sample], params: SearchParams) -> Parts:
    """Divide by a hash of the id: the same texts judge in every trial, and after a restart.

    Raises:
        ParamError: too few texts to judge by, or none left to calibrate with.

    """
    ranked = sorted(samples, key=lambda s: sha256_hex(f"dev/{s.id}".encode("utf-8", "replace")))
    count = min(params.dev_samples, round(params.dev_share * len(ranked)))
    if count < MIN_DEV or count >= len(ranked):
        raise ParamError(
            "search: training texts",
            len(ranked),
            f"{count} would judge: at least {MIN_DEV}, and fewer than all",
            "give more texts, or a larger dev_share",
        )
    by_id = [sorted(part, key=lambda s: s.id) for part in (ranked[count:], ranked[:count])]
    return Parts(by_id[0], by_id[1])


class Yardstick:
    """The champion, loaded once, beside which every trial is measured."""

    def __init__(
        self, champion: Path, dev: Sequence[Sample], params: SearchParams, threads: int
    ) -> None:
        """Load the champion's safetensors folder with so many threads."""
        self._dev, self._params, self._threads = list(dev), params, threads
        self._champion = load(champion, "safetensors", threads)
        self._champion_bytes = size_bytes(champion)

    def measure(self, folder: Path, measurements: Mapping[str, float], rounds: int) -> Measured:
        """The model in ``folder`` against the champion; ArtifactError where it cannot be run."""
        found = format_of(folder)
        check_model_folder(folder, found)
        return self.compare(
            load(folder, _runnable(found), self._threads), folder, measurements, rounds
        )

    def compare(
        self, candidate: Runtime, folder: Path, measurements: Mapping[str, float], rounds: int
    ) -> Measured:
        """The loaded candidate against the champion."""
        asked = self._asked(rounds)
        scores = bench.paired_losses(self._champion, candidate, self._dev)
        change = stats.paired_ratio_interval(scores.champion, scores.candidate, scores.weights)
        speed = _ratio(
            bench.paired_times(self._champion, candidate, self._dev, asked), "latency_ms"
        )
        load_times = bench.paired_concurrent(self._champion, candidate, self._dev, asked)
        same = bench.token_agreement(self._champion, candidate, self._dev, asked)
        gain = control_gain_nats(measurements)
        quantile = student_t_quantile(change.confidence, max(1, change.n - 1))
        size = size_bytes(folder)
        return Measured(
            quality_loss=(1.0 + change.value) * math.exp(gain or 0.0) - 1.0,
            quality_loss_se=change.half_width / quantile if change.bounded else None,
            against_control=gain is not None,
            speedup=speed.value,
            speedup_low=speed.low if speed.bounded else None,
            speedup_high=speed.high if speed.bounded else None,
            concurrent_speedup=(
                _ratio(load_times, "concurrent_ms_per_token").value if load_times else None
            ),
            size_bytes=size,
            size_share=size / self._champion_bytes,
            token_agreement=same.share if same else None,
            precision=candidate.precision,
            rounds=rounds,
            samples=len(scores.sample_ids),
        )

    def _asked(self, rounds: int) -> bench.BenchmarkParams:
        own = self._params
        return bench.BenchmarkParams(
            rounds=rounds,
            warmup_rounds=1,
            prompts=own.prompts,
            new_tokens=own.new_tokens,
            concurrency=own.concurrency,
            agreement_prompts=min(8, own.dev_samples),
            memory=False,
        )


def _ratio(times: Sequence[PairedTimes], quantity: str) -> stats.Estimate:
    found = next(t for t in times if t.quantity == quantity)
    return stats.median_ratio_interval(found.champion_ms, found.candidate_ms)


def _runnable(file_format: str) -> Format:
    return file_format  # type: ignore[return-value]  # load() refuses what it cannot run


def out_of_room(error: BaseException) -> bool:
    """Whether this is the end of disk or memory, however libraries dress it."""
    return any(
        isinstance(one, MemoryError)
        or (isinstance(one, OSError) and one.errno in OUT_OF)
        or any(words in str(one).lower() for words in OUT_WORDS)
        for one in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
