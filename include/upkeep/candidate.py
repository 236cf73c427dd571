"""The route of a candidate: job > benchmark > gate > (approval) > promotion.

Each step is keyed ``model/day/kind``, adopts what is already recorded, and writes its record
before anyone is told.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal, TypeVar

from upkeep import gate, measures, promotion
from upkeep.deployment import MAX_ATTEMPTS, Deployment
from upkeep.errors import JobFailed, ParamError, PromotionRefused
from upkeep.records import (
    Approval,
    Benchmark,
    Candidate,
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
    ValidationResult,
)
from upkeep.samples import put_samples, read_samples, samples_key
from upkeep.spec import spec_of
from upkeep.store import Store, adopt_or_put, get_record, record_key

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
        result = gate.check(candidate, measured, self.spec.gate, tolerances, self._drifted_slices())
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
            return self.deployment.result(job, self.spec.jobs.engine, cls)
        except JobFailed as failed:
            if failed.final:
                words = f"{job.key} failed {MAX_ATTEMPTS} times; a human must look"
                failure = JobFailure(key=job.key, attempts=MAX_ATTEMPTS, words=words)
                adopt_or_put(self.store, self._key("failure"), failure)
            raise

    def _job(self, method: str | None) -> JobSpec:
        settings = self.spec.jobs.compress if self.kind == "compress" else self.spec.jobs.retrain
        training, evaluation = self._production_texts()
        if self.kind == "retrain":
            training += self._base_texts()
        return self._spec(
            self.kind,
            self.kind,
            method or settings.method,
            data={"training": training, "evaluation": evaluation},
            params=dict(settings.params),
        )

    def _benchmark_job(self, candidate: Candidate) -> JobSpec:
        _, evaluation = self._production_texts()
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
    ) -> JobSpec:
        folder = f"{self.model}/{self.day.isoformat()}/r1/{name}"
        return JobSpec(
            key=job_key(self.model, self.day, name),
            kind=kind,
            model=self.model,
            day=self.day,
            method=method,
            source=model_input(champion_of(self.store, self.model)),
            candidate=candidate,
            data={
                role: put_samples(self.store, f"{folder}/{role}.jsonl", samples)
                for role, samples in data.items()
            },
            params=params,
            resources=self.spec.jobs.resources,
            store_root=self.store.root,
            output_prefix=output_prefix(self.model, self.day, name),
        )

    def _production_texts(self) -> tuple[list[Sample], list[Sample]]:
        """The last trusted days' prompts, each once: for training, and held out."""
        unique: dict[str, Sample] = {}
        for day in self._trusted_days():
            for sample in read_samples(self.store, samples_key(self.model, day)):
                unique.setdefault(sample.prompt, sample)
        ordered = sorted(unique.values(), key=lambda s: s.id)
        if not ordered:
            raise ParamError(
                "day",
                self.day.isoformat(),
                f"no trusted production text for {self.model}",
                "run the daily cycle for this day first",
            )
        return [s for s in ordered if not s.held_out], [s for s in ordered if s.held_out]

    def _trusted_days(self) -> list[date]:
        days = (self.day - timedelta(n) for n in range(self.spec.jobs.retrain.days))
        return [d for d in days if self._trusted(d)]

    def _trusted(self, day: date) -> bool:
        found = get_record(self.store, record_key(self.model, day, "validation"), ValidationResult)
        return found is not None and found.trusted

    def _base_texts(self) -> list[Sample]:
        """What the model was first trained on, mixed in so that it forgets nothing."""
        keys = self.store.list(f"{self.model}/training/")
        return [sample for key in keys for sample in read_samples(self.store, key)]

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
