"""READ THIRD: the program on the GPU machine. ``python -m upkeep.worker JOB.json``.

One job, one process: evaluate, compress, retrain or benchmark. What it reads lies in the
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
from typing import Literal

from upkeep import benchmark as bench
from upkeep import faults
from upkeep.compression import compression
from upkeep.compression_methods import FileFormat, method_of
from upkeep.errors import CorruptRecord, InputError, ParamError
from upkeep.evaluation import evaluate
from upkeep.job_inputs import Inputs, read_job
from upkeep.job_params import read_params
from upkeep.model_files import check_model_folder, check_same_signature
from upkeep.records import (
    Benchmark,
    Candidate,
    Evaluation,
    JobKind,
    JobSpec,
)
from upkeep.store import adopt_or_put, get_record, open_store

log = logging.getLogger("upkeep.worker")

Result = Evaluation | Candidate | Benchmark

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


def compress(inputs: Inputs) -> Candidate:
    """A smaller model than the source, by the job's method."""
    function = compression(inputs.job.method)

    def make(champion: Path, out: Path) -> tuple[Mapping[str, float], Sequence[str]]:
        # What a candidate is judged on must not be what it was calibrated on.
        samples = inputs.samples("training") if "training" in inputs.job.data else []
        return function(champion, samples, inputs.job.method, inputs.job.params, out)

    return _make_candidate(inputs, "compress", method_of(inputs.job.method).format, make)


def retrain(inputs: Inputs) -> Candidate:
    """The source, trained further on the job's training texts."""

    def make(champion: Path, out: Path) -> tuple[Mapping[str, float], Sequence[str]]:
        from upkeep import training

        held_out = inputs.samples("evaluation")
        seen = {sample.prompt for sample in held_out}
        offered = inputs.samples("training")
        texts = [sample for sample in offered if sample.prompt not in seen]
        dropped = len(offered) - len(texts)
        found = training.retrain(champion, texts, held_out, inputs.job.params, out)
        check_same_signature(champion, out)
        return found, (
            f"trained on {len(texts)} samples, held out {len(held_out)}",
            f"{dropped} training samples dropped: their prompt is held out",
        )

    if inputs.job.method != "full":
        raise ParamError("retrain.method", inputs.job.method, "must be one of ['full']", "correct")
    return _make_candidate(inputs, "retrain", "safetensors", make)


def benchmark(inputs: Inputs) -> Benchmark:
    """Champion and candidate, paired, in this process."""
    job = inputs.job
    params = read_params(bench.BenchmarkParams, "params", job.params)
    if job.candidate is None:
        raise ParamError("candidate", None, "is missing", "name the model to compare with")
    samples = inputs.samples("evaluation")
    champion = inputs.runtime(job.source, params.threads)
    candidate = inputs.runtime(job.candidate, params.threads)
    scores = bench.paired_losses(champion, candidate, samples)
    log.info("losses of %d samples", len(scores.sample_ids))
    times = bench.paired_times(champion, candidate, samples, params)
    log.info("times of %d rounds", params.rounds)
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
    )


KINDS: dict[JobKind, tuple[type[Result], Callable[[Inputs], Result]]] = {
    "benchmark": (Benchmark, benchmark),
    "compress": (Candidate, compress),
    "evaluate": (Evaluation, evaluate),
    "retrain": (Candidate, retrain),
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
    made_format: FileFormat,
    make: Callable[[Path, Path], tuple[Mapping[str, float], Sequence[str]]],
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
        measurements, notes = make(inputs.folder(job.source), out)
        check_model_folder(out, made_format)
        faults.point("worker.before_model")
        kept = inputs.store.put_folder(f"{job.output_prefix}/model", out)
    return Candidate(
        model=job.model,
        day=job.day,
        job_key=job.key,
        kind=kind,
        method=job.method,
        parent_version=job.source.version,
        format=made_format,
        folder=kept,
        measurements=dict(measurements),
        notes=tuple(notes),
    )


def _since(started: float) -> float:
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
