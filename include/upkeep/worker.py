"""READ THIRD: the program on the GPU machine. ``python -m upkeep.worker JOB.json``.

One job, one process: evaluate, compress, retrain, benchmark or review. What it reads lies in the
store under recorded hashes and is checked before use; what it makes appears at the end, by
put-if-absent, as ``<output_prefix>/result.json``. A worker that dies leaves no result, and one
that is started again after a result exists leaves it as it is.

Exit status: 0 the result is in the store; 2 the job or its inputs are not allowed, said in
one line on stderr; 1 anything else, with a traceback.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from upkeep import benchmark as bench
from upkeep import faults, image_benchmark, retraining
from upkeep.compression import compression
from upkeep.compression_methods import FileFormat, method_of
from upkeep.errors import CorruptRecord, InputError, ParamError
from upkeep.evaluation import evaluate
from upkeep.inspection import review
from upkeep.job_inputs import Inputs, read_job
from upkeep.job_params import read_params
from upkeep.model_files import check_model_folder, check_same_signature, format_of
from upkeep.networks import is_generator
from upkeep.peak_memory import peak_bytes
from upkeep.records import (
    Benchmark,
    Candidate,
    Evaluation,
    JobKind,
    JobSpec,
    Review,
    Sample,
    Step,
)
from upkeep.search_params import ChainParams
from upkeep.store import adopt_or_put, get_record, open_store

log = logging.getLogger("upkeep.worker")

Result = Evaluation | Candidate | Benchmark | Review

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "NNCF_CI": "1",  # NNCF sends no usage statistics where this is set
    "CI": "true",  # nor does OpenVINO: no other variable turns openvino_telemetry off
    "TOKENIZERS_PARALLELISM": "false",
}
"""Set before any model library is imported: no hub, no telemetry, no threads behind our back."""

PATIENT_THREADS = {"OMP_WAIT_POLICY": "passive"}
"""Threads sleep while they wait: on a busy machine spinning ones cost seven times the latency."""


class Made(NamedTuple):
    """What a method says of the model that it made; ``steps`` and the rest as in Candidate."""

    measurements: Mapping[str, float]
    notes: Sequence[str]
    steps: tuple[Step, ...] = ()
    no_candidate: str = ""


Maker = Callable[[Path, Path], Made]
"""Writes the candidate's files into the second folder, from the champion's in the first."""


def compress(inputs: Inputs) -> Candidate:
    """A smaller model than the source, by the job's method."""
    job = inputs.job
    function = compression(job.method)
    # What a candidate is judged on must not be what it was calibrated on.
    samples = inputs.samples("training") if "training" in job.data else []

    def plain(champion: Path, out: Path) -> Made:
        return Made(*function(champion, samples, job.method, job.params, out))

    def chained(champion: Path, out: Path) -> Made:
        steps = read_params(ChainParams, job.method, job.params).records()
        return plain(champion, out)._replace(steps=steps)

    def searched(champion: Path, out: Path) -> Made:
        from upkeep.compression import search
        from upkeep.compression.search_records import Trials

        kept = Trials(
            inputs.store,
            job.output_prefix,
            earlier=inputs.earlier(),
            threads=job.resources.cpus,
        )
        made = search.compress(champion, samples, job.method, job.params, out, kept)
        result = kept.result()
        if result is None:
            raise CorruptRecord(f"{job.output_prefix}/search.json: was written and is gone")
        steps = next(t.steps for t in kept.known() if t.number == result.nearest)
        return Made(*made, steps, "" if result.chosen is not None else result.why)

    makers: dict[str, Maker] = {"chain": chained, "search": searched}
    made_format = method_of(job.method).format
    return _make_candidate(inputs, "compress", made_format, makers.get(job.method, plain))


def retrain(inputs: Inputs) -> Candidate:
    """The source, trained further on the job's training texts."""

    def make(champion: Path, out: Path) -> Made:
        made = Made(*retraining.learn(inputs, champion, out))
        check_same_signature(champion, out)
        return made

    retraining.check_method(inputs.job.method)
    made = _make_candidate(inputs, "retrain", "safetensors", make)
    retraining.forget(inputs)
    return made


def benchmark(inputs: Inputs) -> Benchmark:
    """Champion and candidate, paired, in this process."""
    job = inputs.job
    if is_generator(inputs.folder(job.source)):
        return image_benchmark.benchmark(inputs)
    params = read_params(bench.BenchmarkParams, "params", job.params)
    if job.candidate is None:
        raise ParamError("candidate", None, "is missing", "name the model to compare with")
    samples = inputs.samples("evaluation")
    champion = inputs.runtime(job.source, params.threads)
    candidate = inputs.runtime(job.candidate, params.threads)
    scores = bench.paired_losses(champion, candidate, samples)
    log.info("losses of %d samples", len(scores.sample_ids))
    times = bench.paired_times(champion, candidate, samples, params)
    times += bench.paired_concurrent(champion, candidate, samples, params)
    log.info("times of %d rounds", params.rounds)
    agreement = bench.token_agreement(champion, candidate, samples, params)
    peaks = _peaks(inputs, samples, params)
    return Benchmark(
        model=job.model,
        day=job.day,
        job_key=job.key,
        champion_version=job.source.version,
        champion_files_sha256=job.source.folder.files_sha256,
        candidate_files_sha256=job.candidate.folder.files_sha256,
        scores=(scores,),
        times=times,
        champion_size_bytes=job.source.folder.size_bytes,
        candidate_size_bytes=job.candidate.folder.size_bytes,
        evaluation_set_sha256=job.data["evaluation"].sha256,
        machine=bench.machine(champion, candidate, params),
        concurrency=params.concurrency,
        agreement=agreement,
        champion_peak_bytes=peaks[0],
        candidate_peak_bytes=peaks[1],
    )


def _peaks(
    inputs: Inputs, samples: Sequence[Sample], params: bench.BenchmarkParams
) -> tuple[int | None, int | None]:
    """Peak memory of champion and candidate, each in a process of its own."""
    job = inputs.job
    if not params.memory or job.candidate is None:
        return None, None
    prompts = bench.choose_prompts(samples, params.prompts)
    threads = params.threads or job.resources.cpus
    champion, candidate = (
        peak_bytes(inputs.folder(m), m.format, threads, prompts, params.new_tokens)
        for m in (job.source, job.candidate)
    )
    return champion, candidate


KINDS: dict[JobKind, tuple[type[Result], Callable[[Inputs], Result]]] = {
    "benchmark": (Benchmark, benchmark),
    "compress": (Candidate, compress),
    "evaluate": (Evaluation, evaluate),
    "retrain": (Candidate, retrain),
    "review": (Review, review),
}


def run(job: JobSpec, cache: Path) -> Result:
    """Do the job, or adopt its result; ``cache`` holds fetched model files."""
    store = open_store(job.store_root)
    key = f"{job.output_prefix}/result.json"
    record, do = KINDS[job.kind]
    known = get_record(store, key, record)
    if known is not None:
        log.info("%s: the result is there already", job.key)
        return known
    made = do(Inputs(job, store, cache))
    faults.point("worker.before_result")
    return adopt_or_put(store, key, made)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job in the file named by the one argument; gives the exit status."""
    args = sys.argv[1:] if argv is None else list(argv)
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    os.environ.update(OFFLINE)
    os.environ.update({k: os.environ.get(k, v) for k, v in PATIENT_THREADS.items()})
    started = time.perf_counter()
    try:
        job = read_job(args)
        with tempfile.TemporaryDirectory(prefix="upkeep-") as folder:
            run(job, Path(os.environ.get("UPKEEP_CACHE") or folder))
    except (InputError, CorruptRecord) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 2
    log.info("%s: done (%.1f s)", job.key, _since(started))
    return 0


def _make_candidate(
    inputs: Inputs,
    kind: Literal["compress", "retrain"],
    made_format: FileFormat | None,
    make: Maker,
) -> Candidate:
    """Make the files beside the store, look at them, then put them in under their hashes."""
    job = inputs.job
    if job.source.format != "safetensors":
        raise ParamError(
            "source.format", job.source.format, f"{kind} needs safetensors", "start from an earlier"
        )
    with tempfile.TemporaryDirectory(prefix=f"upkeep-{kind}-") as folder:
        out = Path(folder) / "model"
        out.mkdir()
        made = make(inputs.folder(job.source), out)
        found = made_format or format_of(out)
        check_model_folder(out, found)
        faults.point("worker.before_model")
        kept = inputs.store.put_folder(f"{job.output_prefix}/model", out)
        events = Path(folder) / retraining.EVENTS
        logged = (
            inputs.store.put_folder(f"{job.output_prefix}/{retraining.EVENTS}", events)
            if events.is_dir()
            else None
        )
    return Candidate(
        model=job.model,
        day=job.day,
        job_key=job.key,
        kind=kind,
        method=job.method,
        parent_version=job.source.version,
        format=found,
        folder=kept,
        measurements=dict(made.measurements),
        notes=tuple(made.notes),
        steps=made.steps,
        no_candidate=made.no_candidate,
        events=logged,
    )


def _since(started: float) -> float:
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
