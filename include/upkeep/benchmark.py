"""Champion against candidate, on the same samples, in turn, in one process on one machine.

Quality is paired a sample: both models' loss on every text of the evaluation set. Time is
paired a round: in a round each prompt is continued by one model and at once by the other, the
order turning from round to round, so that whatever slows the machine slows both. Both write
equally many tokens at batch 1, past their own end of text.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean
from typing import Annotated

from pydantic import Field

from upkeep.errors import ArtifactError, ParamError
from upkeep.job_params import JobParams
from upkeep.records import PairedScores, PairedTimes, Sample
from upkeep.runtime import Generation, Runtime, TextLoss

STACK = ("numpy", "openvino", "tokenizers", "torch", "transformers")


class BenchmarkParams(JobParams):
    """How much is measured: ``rounds`` of ``prompts`` continuations by ``new_tokens`` tokens.

    Six rounds are the fewest that bound a median ratio at 95 %. ``threads`` is for each model;
    None: the job's ``cpus``.
    """

    rounds: Annotated[int, Field(ge=6, le=10_000)] = 24
    warmup_rounds: Annotated[int, Field(ge=1, le=100)] = 2
    prompts: Annotated[int, Field(ge=1, le=1_000)] = 3
    new_tokens: Annotated[int, Field(ge=1, le=100_000)] = 24
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None


def paired_losses(champion: Runtime, candidate: Runtime, samples: Sequence[Sample]) -> PairedScores:
    """Both models' negative log-likelihood, in nats, of every sample of two tokens and more.

    Raises ArtifactError where the tokenizers or the contexts differ, because losses a token
    then mean different things, and where a loss is not finite; ParamError without samples.
    """
    _same("tokenizer_sha256", champion.tokenizer_sha256, candidate.tokenizer_sha256)
    _same("context_tokens", champion.context_tokens, candidate.context_tokens)
    texts = [sample.text for sample in samples]
    before, after = champion.nll(texts), candidate.nll(texts)
    rows = [row for row in zip(samples, before, after, strict=True) if row[1].tokens > 0]
    if not rows:
        raise ParamError("evaluation", len(samples), "samples hold no text to score", "add some")
    return PairedScores(
        measure="perplexity",
        direction="lower_is_better",
        sample_ids=tuple(sample.id for sample, _, _ in rows),
        slices=tuple(sample.slice for sample, _, _ in rows),
        champion=tuple(_finite("champion", s, loss) for s, loss, _ in rows),
        candidate=tuple(_finite("candidate", s, loss) for s, _, loss in rows),
        weights=tuple(float(loss.tokens) for _, loss, _ in rows),
    )


def paired_times(
    champion: Runtime, candidate: Runtime, samples: Sequence[Sample], params: BenchmarkParams
) -> tuple[PairedTimes, ...]:
    """One number a round and model, the mean of the round's prompts, in ms.

    ``latency_ms`` is the whole continuation, ``ttft_ms`` the part before its first token.
    """
    prompts = choose_prompts(samples, params.prompts)
    pair = (champion, candidate)
    rounds = [
        _round(pair, prompts, params.new_tokens, first=turn % 2)
        for turn in range(params.warmup_rounds + params.rounds)
    ][params.warmup_rounds :]
    return tuple(
        PairedTimes(
            quantity=quantity,
            champion_ms=tuple(times[0][column] for times in rounds),
            candidate_ms=tuple(times[1][column] for times in rounds),
        )
        for column, quantity in enumerate(("latency_ms", "ttft_ms"))
    )


def choose_prompts(samples: Sequence[Sample], count: int) -> list[str]:
    """``count`` prompts, evenly spread over the samples' prompt lengths, the shortest left out."""
    prompts = sorted({s.prompt for s in samples if s.prompt}, key=lambda p: (len(p), p))
    if not prompts:
        raise ParamError("evaluation", len(samples), "samples hold no prompt", "add some")
    return [prompts[(2 * i + 1) * len(prompts) // (2 * count)] for i in range(count)]


def machine(champion: Runtime, candidate: Runtime, params: BenchmarkParams) -> dict[str, str]:
    """What it ran on and how: a time means nothing without it."""
    return {
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "threads": str(champion.threads),
        "python": platform.python_version(),
        "champion_format": champion.format,
        "champion_precision": champion.precision,
        "candidate_format": candidate.format,
        "candidate_precision": candidate.precision,
        "latency_ms": f"mean of {params.prompts} prompts x {params.new_tokens} tokens, batch 1",
        **{name: _version(name) for name in STACK},
    }


def _round(
    pair: tuple[Runtime, Runtime], prompts: Sequence[str], new_tokens: int, *, first: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(latency, time to the first token) of each model, meaned over the prompts."""
    made: tuple[list[Generation], list[Generation]] = ([], [])
    for prompt in prompts:
        for which in (first, 1 - first):
            made[which].append(pair[which].generate(prompt, new_tokens, ignore_end=True))
    champion, candidate = (
        (fmean(m.latency_ms for m in side), fmean(m.ttft_ms for m in side)) for side in made
    )
    return champion, candidate


def _same(what: str, champion: object, candidate: object) -> None:
    if champion != candidate:
        raise ArtifactError(
            f"candidate's {what}",
            candidate,
            f"is not the champion's {champion!r}",
            "their losses a token cannot be compared",
        )


def _finite(who: str, sample: Sample, loss: TextLoss) -> float:
    if not abs(loss.nll_nats) < float("inf"):
        raise ArtifactError(
            f"{who}'s loss on sample {sample.id}",
            loss.nll_nats,
            "is not a finite number",
            "look at the model's weights",
        )
    return loss.nll_nats


def _cpu() -> str:
    """The processor's name as Linux tells it, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
