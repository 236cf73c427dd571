"""One job, one result: whatever is repeated, killed or corrupted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fakes.tiny_model import make_samples, tiny_llama, tiny_openvino

from upkeep import benchmark, evaluation, worker
from upkeep.compression_methods import METHODS, Method
from upkeep.errors import ArtifactError, ParamError
from upkeep.job_inputs import Inputs
from upkeep.pictures import put_file
from upkeep.records import (
    Benchmark,
    Candidate,
    Earlier,
    Evaluation,
    FileHash,
    JobKind,
    JobSpec,
    ModelInput,
    Sample,
    SampleScores,
    SearchResult,
    Step,
    Trial,
    sha256_hex,
)
from upkeep.runtime import load
from upkeep.samples import put_samples
from upkeep.store import Store, get_record, open_store

DAY = date(2026, 3, 5)
PREFIX = "docs-assistant/2026-03-05/r1/jobs"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store on this disk."""
    return open_store(str(tmp_path / "store"))


def model_in(store: Store, file_format: str) -> ModelInput:
    """A tiny model, put into the store as a version."""
    source = tiny_openvino() if file_format == "openvino" else tiny_llama()
    folder = store.put_folder(f"docs-assistant/versions/{file_format}", source)
    return ModelInput(version=f"v-{file_format}", format=file_format, folder=folder)  # type: ignore[arg-type]


def make_job(store: Store, kind: JobKind, **changes: Any) -> JobSpec:
    """A job that is allowed, on the OpenVINO model unless told otherwise."""
    evaluation = put_samples(store, f"{PREFIX}/{kind}/evaluation.jsonl", make_samples(24))
    fields: dict[str, Any] = {
        "key": f"docs-assistant/2026-03-05/{kind}",
        "kind": kind,
        "model": "docs-assistant",
        "day": DAY,
        "method": "interleaved",
        "data": {"evaluation": evaluation},
        "store_root": store.root,
        "output_prefix": f"{PREFIX}/{kind}",
        "resources": {"cpus": 1},
    } | changes
    fields["source"] = fields.get("source") or model_in(store, "openvino")
    return JobSpec.model_validate(fields)


def evaluate_job(store: Store, **changes: Any) -> JobSpec:
    """An evaluation by all three measures."""
    params = {"measures": ["perplexity", "bleu", "rouge_l"], "resamples": 100}
    return make_job(store, "evaluate", **{"params": params} | changes)


def run_worker(folder: Path, job: JobSpec, **env: str) -> subprocess.CompletedProcess[str]:
    """The worker as an engine starts it."""
    path = folder / "JOB.json"
    path.write_bytes(job.canonical_bytes())
    return subprocess.run(
        [sys.executable, "-m", "upkeep.worker", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"UPKEEP_CACHE": str(folder / "cache")} | env,
        timeout=300,
    )


def run_here(tmp_path: Path, job: JobSpec) -> worker.Result:
    """The job in this process, where a refusal is an exception."""
    return worker.run(job, tmp_path / "cache")


# ---------------------------------------------------------------- the program


def test_an_evaluation_is_in_the_store_when_the_worker_ends(tmp_path: Path, store: Store) -> None:
    """An evaluation is in the store when the worker ends."""
    job = evaluate_job(store)
    done = run_worker(tmp_path, job)
    assert (done.returncode, done.stderr) == (0, "")
    assert "perplexity" in done.stdout
    found = get_record(store, f"{PREFIX}/evaluate/result.json", Evaluation)
    assert found is not None
    assert [r.measure for r in found.results] == ["perplexity", "bleu", "rouge_l"]
    for result in found.results:
        assert result.model_version == found.model_version == "v-openvino"
        assert result.evaluation_set_sha256 == job.data["evaluation"].sha256
        assert (result.day, result.n) == (DAY, 24)
        assert {s.name for s in result.slices} == {"docs", "code"}


def test_a_worker_killed_before_its_result_leaves_none_and_the_next_one_makes_it(
    tmp_path: Path, store: Store
) -> None:
    """A worker killed before its result leaves none and the next one makes it."""
    job, key = evaluate_job(store), f"{PREFIX}/evaluate/result.json"
    assert run_worker(tmp_path, job, UPKEEP_CRASH_AT="worker.before_result").returncode == 137
    assert store.get(key) is None
    assert run_worker(tmp_path, job).returncode == 0
    first = store.get(key)
    shutil.rmtree(Path(store.root) / job.source.folder.prefix)
    again = run_worker(tmp_path, job)
    assert again.returncode == 0, "a result that is there needs no model"
    assert "there already" in again.stdout
    assert store.get(key) == first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Invalid JSON"),
        ("{}", "JOB.json:key: {}: Field required"),
        (json.dumps({"kind": "dance"}), "JOB.json:"),
    ],
)
def test_a_job_file_that_is_no_job_ends_with_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    """A job file that is no job ends with 2 and one line."""
    path = tmp_path / "JOB.json"
    path.write_text(text)
    assert worker.main([str(path)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("args", [[], ["a", "b"], ["no-such-file.json"]])
def test_arguments_that_name_no_file_end_with_2(
    capsys: pytest.CaptureFixture[str], args: list[str]
) -> None:
    """Arguments that name no file end with 2."""
    assert worker.main(args) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_refused_job_ends_with_2_and_leaves_nothing(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused job ends with 2 and leaves nothing."""
    job = evaluate_job(store, params={"measures": ["bleu"], "min_samples": 1})
    path = tmp_path / "JOB.json"
    path.write_bytes(job.canonical_bytes())
    before = store.list("")
    assert worker.main([str(path)]) == 2
    assert "params.min_samples: 1" in capsys.readouterr().err
    assert store.list("") == before


def test_a_bug_is_not_dressed_up_as_bad_input(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug is not dressed up as bad input."""

    def broken(inputs: Inputs) -> Evaluation:
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(worker.KINDS, "evaluate", (Evaluation, broken))
    path = tmp_path / "JOB.json"
    path.write_bytes(evaluate_job(store).canonical_bytes())
    with pytest.raises(ZeroDivisionError):
        worker.main([str(path)])


def test_hubs_and_telemetry_are_off_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hubs and telemetry are off before anything is read."""
    for name in worker.OFFLINE:
        monkeypatch.delenv(name, raising=False)
    worker.main([])
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
    assert {k: os.environ[k] for k in worker.OFFLINE} == worker.OFFLINE


def test_threads_sleep_while_they_wait_unless_the_operator_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An operator's own OMP_WAIT_POLICY stands."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    worker.main([])
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    worker.main([])
    assert os.environ["OMP_WAIT_POLICY"] == "active"


def test_the_program_is_light_until_it_knows_the_job_and_never_meets_airflow() -> None:
    """The program is light until it knows the job and never meets airflow."""
    heavy = ["airflow", "mlflow", "torch", "transformers", "openvino", "nltk", "sacrebleu"]
    code = f"import sys, upkeep.worker; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"params": {"measures": ["fidelity"]}}, r"measures: 'fidelity': must be one of"),
        ({"params": {"measures": []}}, r"params.measures: \[\]: List should have at least 1"),
        ({"params": {}}, r"params.measures: .*Field required"),
        ({"params": {"measures": ["bleu"], "sead": 1}}, r"did you mean seed\?"),
        ({"params": {"measures": ["bleu"], "seed": "1"}}, r"params.seed: '1'"),
        ({"data": {}}, r"data.evaluation: \[\]: is missing"),
    ],
)
def test_settings_that_are_not_allowed_are_refused_before_the_model_is_read(
    tmp_path: Path, store: Store, changes: dict[str, Any], said: str
) -> None:
    """Settings that are not allowed are refused before the model is read."""
    job = evaluate_job(store, **changes)
    shutil.rmtree(Path(store.root) / job.source.folder.prefix)
    with pytest.raises(ParamError, match=said):
        run_here(tmp_path, job)


def test_samples_that_changed_since_the_job_was_written_are_refused(
    tmp_path: Path, store: Store
) -> None:
    """Samples that changed since the job was written are refused."""
    job = evaluate_job(store)
    path = Path(store.root) / job.data["evaluation"].path
    path.write_bytes(path.read_bytes().replace(b"loop", b"pool", 1))
    with pytest.raises(ArtifactError, match=r"evaluation.jsonl.*is not the recorded"):
        run_here(tmp_path, job)
    path.unlink()
    with pytest.raises(ArtifactError, match="is not in the store"):
        run_here(tmp_path, job)


def test_a_flipped_bit_in_the_weights_is_refused(tmp_path: Path, store: Store) -> None:
    """A flipped bit in the weights is refused."""
    job = evaluate_job(store)
    path = Path(store.root) / job.source.folder.prefix / "openvino_model.bin"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"openvino_model.bin"):
        run_here(tmp_path, job)
    assert store.get(f"{PREFIX}/evaluate/result.json") is None


def test_a_folder_is_looked_through_before_any_of_it_is_loaded(
    tmp_path: Path, store: Store
) -> None:
    """A pickle under its right hash is still a pickle."""
    source = tmp_path / "model"
    shutil.copytree(tiny_openvino(), source)
    (source / "extra.pkl").write_bytes(b"\x80\x04N.")
    folder = store.put_folder("docs-assistant/versions/pickled", source)
    job = evaluate_job(store, source=ModelInput(version="1", format="openvino", folder=folder))
    with pytest.raises(ArtifactError, match=r"extra.pkl.*pickle"):
        run_here(tmp_path, job)


def test_a_made_model_is_looked_through_before_it_is_stored(
    tmp_path: Path, store: Store, training: FakeTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What training leaves beside the weights must be harmless too."""

    def retrain(champion: Path, *args: Any, **more: Any) -> tuple[dict[str, float], tuple[str]]:
        shutil.copytree(champion, args[-1], dirs_exist_ok=True)
        (args[-1] / "optimizer.pt").write_bytes(b"\x80\x04N.")
        return {}, ("made up",)

    monkeypatch.setattr(training, "retrain", retrain)
    job = make_job(store, "retrain", method="full", source=model_in(store, "safetensors"))
    job = job.model_copy(update={"data": job.data | {"training": job.data["evaluation"]}})
    with pytest.raises(ArtifactError, match=r"optimizer\.pt"):
        run_here(tmp_path, job)


def test_a_model_that_this_worker_cannot_run_is_refused(tmp_path: Path, store: Store) -> None:
    """A model that this worker cannot run is refused."""
    source = model_in(store, "openvino").model_copy(update={"format": "onnx"})
    with pytest.raises(ArtifactError, match=r"openvino_model\.(bin|xml)"):
        run_here(tmp_path, evaluate_job(store, source=source))


@pytest.mark.parametrize(("kind", "method"), [("compress", "openvino-int8"), ("retrain", "full")])
def test_a_candidate_is_made_from_full_weights_only(
    tmp_path: Path, store: Store, kind: JobKind, method: str
) -> None:
    """A candidate is made from full weights only."""
    with pytest.raises(ParamError, match=f"{kind} needs safetensors"):
        run_here(tmp_path, make_job(store, kind, method=method))


@pytest.mark.parametrize(("kind", "method"), [("compress", "gzip"), ("retrain", "qlora")])
def test_an_unknown_method_is_refused(
    tmp_path: Path, store: Store, kind: JobKind, method: str
) -> None:
    """An unknown method is refused."""
    with pytest.raises(ParamError, match=f"{kind}.method: '{method}'"):
        run_here(tmp_path, make_job(store, kind, method=method))


def test_a_benchmark_needs_a_candidate(tmp_path: Path, store: Store) -> None:
    """A benchmark needs a candidate."""
    with pytest.raises(ParamError, match="candidate: None: is missing"):
        run_here(tmp_path, make_job(store, "benchmark"))


# ---------------------------------------------------------------- the kinds


def test_at_most_max_samples_are_measured_and_they_are_the_same_each_time(
    tmp_path: Path, store: Store
) -> None:
    """At most max samples are measured and they are the same each time."""
    params = {"measures": ["perplexity"], "max_samples": 21}
    first = run_here(tmp_path, evaluate_job(store, params=params))
    again = run_here(
        tmp_path, evaluate_job(store, params=params, output_prefix=f"{PREFIX}/evaluate-again")
    )
    assert isinstance(first, Evaluation)
    assert isinstance(again, Evaluation)
    assert first.results[0].n == 21
    assert (first.results, first.failure_modes) == (again.results, again.failure_modes)
    assert first.scores is not None
    assert again.scores is not None
    assert first.scores.sha256 == again.scores.sha256


def test_a_measure_that_cannot_be_computed_is_on_record_beside_the_others(
    tmp_path: Path, store: Store
) -> None:
    """It never passes silently as absent: the name, the count, what is needed, what to do."""
    params = {"measures": ["perplexity", "bleu", "fid"], "min_samples": 2, "resamples": 100}
    samples = [Sample(id=str(n), slice="a", prompt="the loop closes when") for n in range(8)]
    job = evaluate_job(store, params=params, output_prefix=f"{PREFIX}/blind")
    data = {"evaluation": put_samples(store, f"{PREFIX}/blind.jsonl", samples)}
    found = run_here(tmp_path, job.model_copy(update={"data": data}))
    assert isinstance(found, Evaluation)
    assert [result.measure for result in found.results] == ["perplexity"]
    words = {missing.measure: missing.words for missing in found.unmeasured}
    assert list(words) == ["bleu", "fid"]
    assert "samples with a reference: 0: are fewer than min_samples = 2" in words["bleu"]
    assert "quality.modality" in words["fid"]


def test_failure_modes_that_cannot_be_found_cost_no_score(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are on record as not measured, with the reason."""

    def broken(*_: object) -> None:
        raise ArtifactError("config.json", None, "is missing beside model.onnx", "write it")

    monkeypatch.setattr(evaluation, "failure_modes", broken)
    found = run_here(tmp_path, evaluate_job(store))
    assert isinstance(found, Evaluation)
    assert len(found.results) == 3
    [missing] = found.unmeasured
    assert (missing.measure, "config.json" in missing.words) == ("failure_modes", True)


def test_slices_by_length_are_measured_where_they_are_asked_for(
    tmp_path: Path, store: Store
) -> None:
    """Through the job's own parameters, as JSON has them."""
    params = {"measures": ["rouge_l"], "resamples": 100, "slice_by": ["length"]}
    found = run_here(tmp_path, evaluate_job(store, params=params))
    assert isinstance(found, Evaluation)
    names = {part.name for part in found.results[0].slices}
    assert {"docs", "code"} < names
    assert any(name.startswith("length:") for name in names)


def test_the_scores_of_each_sample_lie_beside_the_result(tmp_path: Path, store: Store) -> None:
    """JSON lines under the hash that the result names: what people's ratings are held against."""
    found = run_here(tmp_path, evaluate_job(store))
    assert isinstance(found, Evaluation)
    assert found.scores is not None
    data = store.get(found.scores.path) or b""
    assert sha256_hex(data) == found.scores.sha256
    rows = [SampleScores.parse(line) for line in data.splitlines()]
    assert len(rows) == 24
    assert {"bleu", "perplexity", "rouge_l"} == {name for row in rows for name in row.scores}


def test_a_compressed_candidate_lies_in_the_store_and_runs(tmp_path: Path, store: Store) -> None:
    """A compressed candidate lies in the store and runs."""
    source = model_in(store, "safetensors")
    job = make_job(store, "compress", method="openvino-int8", source=source)
    made = run_here(tmp_path, job)
    assert isinstance(made, Candidate)
    assert (made.format, made.parent_version, made.job_key) == (
        "openvino",
        "v-safetensors",
        job.key,
    )
    assert made.measurements["size_bytes"] == made.folder.size_bytes
    folder = store.local_folder(made.folder, tmp_path / "cache")
    assert load(folder, "openvino").nll(["the loop closes"])[0].tokens > 0
    assert get_record(store, f"{PREFIX}/compress/result.json", Candidate) == made


def training_in(store: Store) -> FileHash:
    """Training texts of other prompts than the evaluation set."""
    texts = [s.model_copy(update={"id": f"t{s.id}", "prompt": f"t{s.prompt}"}) for s in TEXTS]
    return put_samples(store, f"{PREFIX}/compress/training.jsonl", texts)


TEXTS = make_samples(40)
SEARCH: dict[str, Any] = {
    "trials": 2,
    "goal": {"max_quality_loss": 5.0, "prefer": "size"},
    "prompts": 1,
    "new_tokens": 4,
    "final_rounds": 6,
    "finalists": 1,
}
INT8 = {"steps": [{"method": "openvino-int8"}]}
INT4 = {"steps": [{"method": "openvino-int4", "params": {"group_size": -1}}]}
COPY = {"steps": [{"method": "fake-copy"}]}


def search_job(store: Store, **params: Any) -> JobSpec:
    """A search on the tiny model, with training texts of its own."""
    return make_job(
        store,
        "compress",
        method="search",
        params={**SEARCH, **params},
        source=model_in(store, "safetensors"),
        data={"training": training_in(store)},
    )


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that gives the tiny OpenVINO model, which was made before."""
    copy = Method("fakes.compressing", "quantization", "openvino", "none")
    monkeypatch.setitem(METHODS, "fake-copy", copy)


def test_a_search_over_real_methods_leaves_the_best_and_every_trial(
    tmp_path: Path, store: Store
) -> None:
    """Eight bits or four: the smallest is the candidate, and a second worker changes nothing."""
    job = search_job(store, routes=[INT8, INT4])
    made = run_here(tmp_path, job)
    assert isinstance(made, Candidate)
    trials = [get_record(store, f"{PREFIX}/compress/trials/{n:04d}.json", Trial) for n in range(2)]
    measured = [t.measured for t in trials if t is not None and t.measured is not None]
    assert len(measured) == 2
    found = get_record(store, f"{PREFIX}/compress/search.json", SearchResult)
    assert found is not None
    assert found.chosen is not None
    assert measured[found.chosen].size_bytes == min(m.size_bytes for m in measured)
    assert "u4" in measured[found.chosen].precision
    assert [step.method for step in made.steps] == ["openvino-int4"]
    assert (made.method, made.format, made.no_candidate) == ("search", "openvino", "")
    assert made.folder.size_bytes == measured[found.chosen].size_bytes
    assert run_here(tmp_path / "again", job) == made


@pytest.mark.usefixtures("copying")
def test_a_search_without_a_candidate_hands_on_the_nearest_and_says_so(
    tmp_path: Path, store: Store
) -> None:
    """The gate measures it and refuses: the reason stands in the candidate."""
    goal = {"min_speedup": 999.0, "max_quality_loss": 5.0}
    made = run_here(tmp_path, search_job(store, routes=[COPY], goal=goal))
    assert isinstance(made, Candidate)
    assert made.no_candidate.startswith("no candidate, because no trial meets the goal; nearest")
    assert made.format == "openvino"


@pytest.mark.usefixtures("copying")
def test_a_search_is_told_what_earlier_days_found(tmp_path: Path, store: Store) -> None:
    """Through the job's own file, under its hash."""
    known = Earlier(
        day=date(2026, 3, 1),
        target=benchmark.target(1),
        steps=(Step(method="fake-copy"),),
        verdict="refused",
    )
    job = search_job(store, routes=[COPY])
    told = put_file(store, f"{PREFIX}/compress/earlier.jsonl", known.canonical_bytes() + b"\n")
    run_here(tmp_path, job.model_copy(update={"data": {**job.data, "earlier": told}}))
    found = get_record(store, f"{PREFIX}/compress/search.json", SearchResult)
    assert found is not None
    assert found.tried_last == ("quantization",)


@pytest.mark.usefixtures("copying")
def test_a_chain_has_the_format_of_its_last_step(tmp_path: Path, store: Store) -> None:
    """And its steps are on record."""
    source = model_in(store, "safetensors")
    job = make_job(store, "compress", method="chain", params=COPY, source=source)
    made = run_here(tmp_path, job)
    assert isinstance(made, Candidate)
    assert made.format == "openvino"
    assert [step.method for step in made.steps] == ["fake-copy"]
    assert made.measurements["size_bytes"] == made.folder.size_bytes


class FakeTraining(types.ModuleType):
    """Copies the champion and remembers the texts that it was given."""

    def retrain(
        self,
        champion: Path,
        training: Sequence[Sample],
        evaluation: Sequence[Sample],
        params: dict[str, Any],
        out: Path,
        **more: Any,
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        """See ``upkeep.training.retrain``."""
        self.training, self.evaluation, self.params = training, evaluation, params
        self.more = more
        shutil.copytree(champion, out, dirs_exist_ok=True)
        return {"loss": 1.0}, ("made up",)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    """Stands in for ``upkeep.training``, whose own tests train for real."""
    fake = FakeTraining("upkeep.training")
    monkeypatch.setitem(sys.modules, "upkeep.training", fake)
    monkeypatch.setattr("upkeep.training", fake, raising=False)
    return fake


def test_a_retrained_candidate_never_saw_a_prompt_that_is_held_out(
    tmp_path: Path, store: Store, training: FakeTraining
) -> None:
    """A retrained candidate never saw a prompt that is held out."""
    held_out = make_samples(24)
    own = [Sample(id=f"t{i}", slice="docs", prompt=f"train {i}") for i in range(5)]
    texts = put_samples(store, f"{PREFIX}/retrain/training.jsonl", [*own, *held_out[:3]])
    job = make_job(
        store,
        "retrain",
        method="full",
        source=model_in(store, "safetensors"),
        params={"epochs": 1},
    )
    job = job.model_copy(update={"data": job.data | {"training": texts}})
    made = run_here(tmp_path, job)
    assert isinstance(made, Candidate)
    assert list(training.training) == own
    assert list(training.evaluation) == held_out
    assert training.params == {"epochs": 1}
    assert (made.kind, made.format, made.measurements) == ("retrain", "safetensors", {"loss": 1.0})
    assert made.notes[1] == "3 training samples dropped: their prompt is held out"


def test_a_worker_killed_after_making_a_model_leaves_no_file_of_it(
    tmp_path: Path, store: Store, training: FakeTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker killed after making a model leaves no file of it."""

    class Killed(BaseException):
        pass

    def die(code: int) -> None:
        raise Killed

    texts = put_samples(store, f"{PREFIX}/retrain/training.jsonl", make_samples(3))
    job = make_job(store, "retrain", method="full", source=model_in(store, "safetensors"))
    job = job.model_copy(update={"data": job.data | {"training": texts}})
    before = store.list("")
    with monkeypatch.context() as patch:
        patch.setenv("UPKEEP_CRASH_AT", "worker.before_model")
        patch.setattr(os, "_exit", die)
        with pytest.raises(Killed):
            run_here(tmp_path, job)
    assert store.list("") == before
    assert isinstance(run_here(tmp_path, job), Candidate)


def test_a_benchmark_pairs_the_two_models_and_says_on_what_machine(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A benchmark pairs the two models and says on what machine."""
    source, candidate = model_in(store, "safetensors"), model_in(store, "openvino")
    job = make_job(
        store,
        "benchmark",
        source=source,
        candidate=candidate,
        params={
            "rounds": 6,
            "warmup_rounds": 1,
            "prompts": 1,
            "new_tokens": 4,
            "concurrency": 3,
            "agreement_prompts": 5,
        },
    )
    peaks = {"safetensors": 300, "openvino": 200}
    monkeypatch.setattr(worker, "peak_bytes", lambda folder, form, *_: peaks[form])
    made = run_here(tmp_path, job)
    assert isinstance(made, Benchmark)
    assert (made.champion_peak_bytes, made.candidate_peak_bytes) == (300, 200)
    assert (made.concurrency, made.machine["concurrent"]) == (3, "3 in flight, queue")
    assert {t.quantity for t in made.times} == {
        *("latency_ms", "ttft_ms", "concurrent_latency_ms", "concurrent_ms_per_token")
    }
    assert made.agreement is not None
    assert (made.agreement.prompts, made.agreement.tokens) == (5, 20)
    assert made.champion_files_sha256 == source.folder.files_sha256
    assert made.candidate_files_sha256 == candidate.folder.files_sha256
    assert made.candidate_size_bytes == candidate.folder.size_bytes
    assert (len(made.scores[0].sample_ids), len(made.times[0].champion_ms)) == (24, 6)
    assert min(made.times[0].champion_ms + made.times[0].candidate_ms) > 0.0
    assert made.machine["threads"] == "1"
    assert get_record(store, f"{PREFIX}/benchmark/result.json", Benchmark) == made


def test_a_second_worker_that_was_slower_adopts_the_first_ones_result(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second worker that was slower adopts the first ones result."""
    job = evaluate_job(store, params={"measures": ["bleu"], "resamples": 100})
    meanwhile = run_here(tmp_path / "other", job.model_copy(update={"store_root": store.root}))
    assert isinstance(meanwhile, Evaluation)
    late = meanwhile.model_copy(update={"model_version": "made-later"})
    monkeypatch.setitem(worker.KINDS, "evaluate", (Evaluation, lambda inputs: late))
    monkeypatch.setattr(worker, "get_record", lambda store, key, cls: None)
    assert run_here(tmp_path, job) == meanwhile


def test_a_retrained_model_of_another_shape_is_refused(
    tmp_path: Path, store: Store, training: FakeTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate with a weight that the champion does not have never reaches the store."""
    from safetensors.numpy import load_file, save_file

    def retrain(champion: Path, *args: Any, **more: Any) -> tuple[dict[str, float], tuple[str]]:
        out = args[-1]
        shutil.copytree(champion, out, dirs_exist_ok=True)
        weights = load_file(out / "model.safetensors")
        weights["extra"] = weights["model.norm.weight"]
        save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
        return {}, ("made up",)

    monkeypatch.setattr(training, "retrain", retrain)
    job = make_job(store, "retrain", method="full", source=model_in(store, "safetensors"))
    job = job.model_copy(update={"data": job.data | {"training": job.data["evaluation"]}})
    with pytest.raises(ArtifactError, match="extra"):
        run_here(tmp_path, job)
    assert store.list(f"{PREFIX}/retrain/model") == []


def test_a_remote_model_that_does_not_fit_the_disk_is_refused_before_it_is_fetched(
    tmp_path: Path, store: Store
) -> None:
    """Free space is asked for first, because a full disk fails in the middle."""

    class RemoteStore:
        root = "s3://bucket/models"

        def local_folder(self, *args: Any) -> Path:
            raise AssertionError("fetched")

    job = evaluate_job(store)
    huge = job.source.folder.files[0].model_copy(update={"size_bytes": 2**60})
    folder = job.source.folder.model_copy(update={"files": (huge,)})
    inputs = Inputs(job, RemoteStore(), tmp_path / "cache")  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="does not fit"):
        inputs.folder(job.source.model_copy(update={"folder": folder}))
