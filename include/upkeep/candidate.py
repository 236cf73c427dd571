"""The route of a candidate: job > benchmark > gate > (approval) > promotion.

Each step is keyed ``model/day/kind``, adopts what is already recorded, and writes its record
before anyone is told.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, TypeVar

from upkeep import gate, measures, promotion
from upkeep.deployment import MAX_ATTEMPTS, Deployment
from upkeep.earlier import put_earlier
from upkeep.errors import JobFailed, PromotionRefused
from upkeep.image_jobs import production_requests, references_of, tools_of
from upkeep.job_texts import (
    original_texts,
    production_texts,
    put_selection,
    put_texts,
    ratings_for,
    untouched,
)
from upkeep.records import (
    Approval,
    Benchmark,
    Candidate,
    DailyMetrics,
    DayOpen,
    Drift,
    DriftResult,
    GateResult,
    JobFailure,
    JobKind,
    JobSpec,
    LedgerEntry,
    ModelInput,
    Sample,
)
from upkeep.redaction import redact
from upkeep.spec import spec_of
from upkeep.store import Store, adopt_or_put, get_record, record_key
from upkeep.training_data import Chosen, choose_training

Kind = Literal["compress", "retrain"]
R = TypeVar("R", Candidate, Benchmark)


def job_key(model: str, day: date, kind: str) -> str:
    """The key that at most one job ever has."""
    return f"{model}/{day.isoformat()}/{kind}"


def output_prefix(model: str, day: date, kind: str) -> str:
    """Where in the store a job leaves its result."""
    return f"{model}/{day.isoformat()}/r1/jobs/{kind}"


def model_input(entry: LedgerEntry) -> ModelInput:
    """A champion of the ledger, as a job reads it."""
    return ModelInput(version=entry.version, format=entry.format, folder=entry.folder)


def champion_of(store: Store, model: str) -> LedgerEntry:
    """The model's champion.

    Raises:
        PromotionRefused: the model has none.

    """
    head = promotion.champion(store, model)
    if head is None:
        raise PromotionRefused(
            f"{model} has no champion; register one: upkeep register {model} DIR"
        )
    return head


class CandidateRoute:
    """One candidate of one model's day."""

    def __init__(self, deployment: Deployment, opened: DayOpen, kind: Kind) -> None:
        """Take the day's snapshot; nothing is read or written yet."""
        self.deployment, self.store = deployment, deployment.store
        self.opened, self.kind = opened, kind
        self.model, self.day = opened.model, opened.day
        self.spec = spec_of(opened)

    def _key(self, step: str) -> str:
        return record_key(self.model, self.day, f"{self.kind}/{step}")

    def run_job(self, method: str | None = None) -> Candidate:
        """Make the candidate on the cluster, or adopt the one that is there."""
        known = get_record(self.store, self._key("candidate"), Candidate)
        if known is not None:
            return known
        job = get_record(self.store, self._key("job"), JobSpec)
        job = job or adopt_or_put(self.store, self._key("job"), self._job(method))
        made = self._result(job, Candidate)
        return adopt_or_put(self.store, self._key("candidate"), made)

    def gate(self) -> GateResult:
        """Benchmark champion and candidate in one run, and judge."""
        known = get_record(self.store, self._key("gate"), GateResult)
        if known is not None:
            return known
        candidate = self.run_job()
        job = get_record(self.store, self._key("benchmark-job"), JobSpec)
        job = job or adopt_or_put(
            self.store, self._key("benchmark-job"), self._benchmark_job(candidate)
        )
        measured = adopt_or_put(self.store, self._key("benchmark"), self._result(job, Benchmark))
        tolerances = self.spec.policy.measures
        result = gate.check(
            candidate,
            measured,
            self.spec.gate,
            tolerances,
            tuple(redact(name)[0] for name in self._drifted_slices()),  # as the texts name them
            usd_per_1k=self._usd_per_1k(),
        )
        return adopt_or_put(self.store, self._key("gate"), result)

    def promote(self, approval: Approval | None, *, require_approval: bool) -> LedgerEntry | None:
        """Make the candidate champion; None if the gate or a person said no."""
        known = get_record(self.store, self._key("promotion"), LedgerEntry)
        if known is not None:
            return known
        verdict = self.gate()
        if approval is not None:
            adopt_or_put(self.store, self._key("approval"), approval)
        if not verdict.passed or (approval is not None and not approval.approved):
            return None
        entry = promotion.promote(
            self.store,
            self.deployment.tracker(),
            candidate=self.run_job(),
            gate=verdict,
            key=job_key(self.model, self.day, self.kind),
            cache=self.deployment.cache,
            approval=approval,
            require_approval=require_approval or self.spec.gate.require_approval,
        )
        return adopt_or_put(self.store, self._key("promotion"), entry)

    # ------------------------------------------------------------ what the jobs get

    def _result(self, job: JobSpec, cls: type[R]) -> R:
        try:
            return self.deployment.result(job, self.spec.jobs, cls)
        except JobFailed as failed:
            if failed.final:
                words = f"{job.key} failed {MAX_ATTEMPTS} times; a human must look"
                failure = JobFailure(key=job.key, attempts=MAX_ATTEMPTS, words=words)
                adopt_or_put(self.store, self._key("failure"), failure)
            raise

    def _job(self, method: str | None) -> JobSpec:
        settings = self.spec.jobs.compress if self.kind == "compress" else self.spec.jobs.retrain
        if self._of_images:
            names = ("training", "evaluation")
            requests = production_requests(self.store, self.spec, self.day)
            data = dict(zip(names, requests, strict=True))
            method, params = method or settings.method, dict(settings.params)
            return self._spec(self.kind, self.kind, method, data=data, params=params)
        training, evaluation = production_texts(self.store, self.spec, self.day)
        data = {"training": [sample for _, sample in training], "evaluation": evaluation}
        chosen = None
        if self.kind == "retrain":
            ratings = ratings_for(self.deployment, self.spec, self.day)
            slices = self._drifted_slices()
            chosen = choose_training(training, ratings, self.spec.jobs.retrain, slices)
            data["training"] = chosen.samples
            data["original"] = original_texts(self.store, self.model)
        return self._spec(
            self.kind,
            self.kind,
            method or settings.method,
            data=data,
            params=dict(settings.params),
            chosen=chosen,
        )

    def _benchmark_job(self, candidate: Candidate) -> JobSpec:
        if self._of_images:
            _, evaluation = production_requests(self.store, self.spec, self.day)
        else:
            _, evaluation = production_texts(self.store, self.spec, self.day)
            evaluation = untouched(evaluation) if self.kind == "retrain" else evaluation
        return self._spec(
            f"{self.kind}-benchmark",
            "benchmark",
            "interleaved",
            data={"evaluation": evaluation},
            params=dict(self.spec.jobs.benchmark.params),
            candidate=ModelInput(
                version="candidate", format=candidate.format, folder=candidate.folder
            ),
        )

    def _spec(
        self,
        name: str,
        kind: JobKind,
        method: str,
        *,
        data: dict[str, list[Sample]],
        params: dict[str, Any],
        candidate: ModelInput | None = None,
        chosen: Chosen | None = None,
    ) -> JobSpec:
        folder = f"{self.model}/{self.day.isoformat()}/r1/{name}"
        files, redacted = put_texts(self.store, folder, data)
        tools = {}
        if self._of_images:
            files |= references_of(self.store, self.spec.quality, folder)
            tools = tools_of(self.store, self.spec.quality)
        if chosen is not None:
            selection = chosen.record(self.model, self.day, len(data["original"]), redacted)
            files["selection"] = put_selection(self.store, folder, selection)
        if method == "search":
            key = f"{folder}/earlier.jsonl"
            files["earlier"] = put_earlier(self.store, key, self.model, self.day)
        return JobSpec(
            key=job_key(self.model, self.day, name),
            kind=kind,
            model=self.model,
            day=self.day,
            method=method,
            source=model_input(champion_of(self.store, self.model)),
            candidate=candidate,
            data=files,
            tools=tools,
            params=params,
            resources=self.spec.jobs.resources,
            store_root=self.store.root,
            output_prefix=output_prefix(self.model, self.day, name),
        )

    @property
    def _of_images(self) -> bool:
        return self.spec.quality.modality == "image"

    def _usd_per_1k(self) -> float | None:
        """What 1,000 generations of the day cost, where that is known."""
        key = record_key(self.model, self.day, "metrics")
        metrics = get_record(self.store, key, DailyMetrics)
        return metrics.cost_usd_per_1k if metrics else None

    def _drifted_slices(self) -> tuple[str, ...]:
        """Where the day drifted: what a retraining must be better on."""
        found = get_record(self.store, record_key(self.model, self.day, "drift"), Drift)
        if self.kind != "retrain" or found is None:
            return ()
        named = (measures.split(r.measure)[1] for r in found.results if _grew_or_fell(r))
        return tuple(sorted({slice_ for slice_ in named if slice_}))


def _grew_or_fell(result: DriftResult) -> bool:
    """Whether a slice takes a larger share than before, or its quality got worse."""
    if result.state != "drifted":
        return False
    parent, _ = measures.split(result.measure)
    if parent == measures.SHARE:
        return result.effect is None or result.effect > 0.0
    return measures.family(result.measure) == "quality"
