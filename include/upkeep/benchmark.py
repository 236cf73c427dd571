"""Champion against candidate, on the same samples, in turn, in one process on one machine.

Quality is paired a sample: both models' loss on every text of the evaluation set. Time is
paired a round: in a round each prompt is continued by one model and at once by the other, the
order turning from round to round, so that whatever slows the machine slows both. Both write
equally many tokens at batch 1, past their own end of text. With more than one request in flight
they are measured once more as ``benchmark_load`` says.
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

from upkeep.benchmark_load import Load, Serving, agreement, paired_load
from upkeep.errors import ArtifactError, ParamError
from upkeep.job_params import JobParams
from upkeep.records import PairedScores, PairedTimes, Sample, TokenAgreement
from upkeep.runtime import Generation, Runtime, TextLoss
from upkeep.search_params import target_name

STACK = ("numpy", "openvino", "tokenizers", "torch", "transformers")


class BenchmarkParams(JobParams):
    """How much is measured: ``rounds`` of ``prompts`` continuations by ``new_tokens`` tokens.

    Six rounds are the fewest that bound a median ratio at 95 %. ``threads`` is for each model;
    None: the job's ``cpus``. ``concurrency`` is how many requests production has in flight, and
    ``serving`` how its server answers them. Greedy tokens are compared on
    ``agreement_prompts`` prompts (0: not). ``memory`` starts a process for each model.
    """

    rounds: Annotated[int, Field(ge=6, le=10_000)] = 24
    warmup_rounds: Annotated[int, Field(ge=1, le=100)] = 2
    prompts: Annotated[int, Field(ge=1, le=1_000)] = 3
    new_tokens: Annotated[int, Field(ge=1, le=100_000)] = 24
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=256)] = 1
    serving: Serving = "queue"
    agreement_prompts: Annotated[int, Field(ge=0, le=10_000)] = 16
    memory: bool = True


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


def paired_concurrent(
    champion: Runtime, candidate: Runtime, samples: Sequence[Sample], params: BenchmarkParams
) -> tuple[PairedTimes, ...]:
    """The same at the production concurrency; nothing where it is one request at a time."""
    if params.concurrency == 1:
        return ()
    prompts = choose_prompts(samples, max(params.prompts, params.concurrency))
    load = Load(params.concurrency, 1, params.new_tokens, params.serving)
    rounds, warmup = params.rounds, params.warmup_rounds
    return paired_load((champion, candidate), prompts, load, rounds=rounds, warmup=warmup)


def token_agreement(
    champion: Runtime, candidate: Runtime, samples: Sequence[Sample], params: BenchmarkParams
) -> TokenAgreement | None:
    """How many greedy tokens are the same; None where none were asked for."""
    if params.agreement_prompts == 0:
        return None
    prompts = sorted(set(choose_prompts(samples, params.agreement_prompts)))
    return agreement((champion, candidate), prompts, params.new_tokens)


def choose_prompts(samples: Sequence[Sample], count: int) -> list[str]:
    """``count`` prompts, evenly spread over the samples' prompt lengths, the shortest left out."""
    prompts = sorted({s.prompt for s in samples if s.prompt}, key=lambda p: (len(p), p))
    if not prompts:
        raise ParamError("evaluation", len(samples), "samples hold no prompt", "add some")
    return [prompts[(2 * i + 1) * len(prompts) // (2 * count)] for i in range(count)]


def machine(champion: Runtime, candidate: Runtime, params: BenchmarkParams) -> dict[str, str]:
    """What it ran on and how: a time means nothing without it."""
    return {
        "cpu": cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "threads": str(champion.threads),
        "python": platform.python_version(),
        "champion_format": champion.format,
        "champion_precision": champion.precision,
        "candidate_format": candidate.format,
        "candidate_precision": candidate.precision,
        "latency_ms": f"mean of {params.prompts} prompts x {params.new_tokens} tokens, batch 1",
        "concurrent": f"{params.concurrency} in flight, {params.serving}",
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


def target(threads: int) -> str:
    """The machine with so many threads, by the name that records give it."""
    return target_name(cpu(), threads)


def cpu() -> str:
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
