"""READ SECOND: the route of one model's day, one method a step.

::

    start -> observe -> evaluate -> decide -> allot -> act -> report
                                                       |
                                                       +-> run_job -> gate -> promote (candidate.py)

``allot`` is one step for the whole fleet, between the decisions and what follows from them: it
shares out the day's budget. Every step is keyed by model and day, returns what is already
recorded, and writes its record to the store before anything is told to MLflow. A step that is
killed is simply run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from upkeep import (
    allotting,
    comparing,
    decision,
    diagnosis,
    drift,
    evaluating,
    inspecting,
    late,
    observing,
    people,
    promotion,
)
from upkeep.allotment_chain import answer, read_chain
from upkeep.candidate import CandidateRoute, Kind
from upkeep.credentials import Credentials
from upkeep.deployment import Deployment
from upkeep.errors import LeaseHeld, ParamError
from upkeep.facts import gather, scaling_hint
from upkeep.opening import open_day, opened_day, record_orders
from upkeep.params import TriggerParams
from upkeep.past_jobs import follow_up
from upkeep.records import (
    Allotted,
    Approval,
    Candidate,
    DayFacts,
    Decision,
    Diagnosis,
    Drift,
    Evaluation,
    GateResult,
    LedgerEntry,
    Review,
    Revision,
    ValidationResult,
    Wish,
)
from upkeep.spec import ModelSpec, spec_of
from upkeep.store import Lease, adopt_or_put, get_record, record_key
from upkeep.tracking import run_place

LEASE_TTL_S = 900.0
HISTORY_EXTRA_DAYS = 32  # so that a bad level of a month is not all that is remembered


@dataclass(frozen=True)
class StartedDay:
    """What a run works on: its models, those that another run has, those that are refused."""

    day: date
    models: tuple[str, ...]
    attached: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobPlan:
    """What follows from a decision; ``run_id`` is the same for every try."""

    model: str
    day: date
    kind: Literal["compress", "retrain", "rollback"]
    run_id: str


class Cycle:
    """The daily cycle over one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        """Bind the steps to a deployment."""
        self.deployment, self.store = deployment, deployment.store

    @classmethod
    def from_env(cls, credentials: Credentials | None = None) -> Cycle:
        """Read the deployment from the environment (see ``upkeep.deployment``)."""
        return cls(Deployment.from_env(credentials=credentials))

    def fleet_names(self) -> tuple[str, ...]:
        """The names of the fleet's models, sorted."""
        return tuple(self.deployment.fleet.models)

    # ------------------------------------------------------------------ the day

    def start(self, params: TriggerParams, owner: str) -> StartedDay:
        """Take each model's day for ``owner`` and write the snapshot that it runs on.

        A model for whose day somebody ordered something else is refused by itself: it never
        stops the others.
        """
        refused = {str(f): str(e) for f, e in self.deployment.fleet.errors.items()}
        attached: dict[str, str] = {}
        mine: list[str] = []
        for model in params.models:
            try:
                lease = Lease.acquire(self.store, _lease(model, params.day), owner, LEASE_TTL_S)
            except LeaseHeld as held:
                attached[model] = held.owner
                continue
            open_day(self.store, self.deployment.fleet.models[model], params, owner)
            try:
                record_orders(self.store, model, params, owner)
            except ParamError as conflict:
                lease.release()
                refused[model] = str(conflict)
                continue
            mine.append(model)
        return StartedDay(params.day, tuple(mine), attached, refused)

    def observe(self, model: str, day: date) -> ValidationResult:
        """Collect what production did and say whether it can be trusted."""
        return observing.observe(self.deployment, self._spec(model, day), day)

    def look_back(self, model: str, day: date) -> list[Revision]:
        """Look again at the days before, whose data may have come late; what changed of them."""
        return observing.look_back(self.deployment, self._spec(model, day), day)

    def evaluate(self, model: str, day: date) -> Evaluation | None:
        """Measure the quality of the version that served the day; None on a day without trust."""
        known = get_record(self.store, record_key(model, day, "quality"), Evaluation)
        if known is not None:
            return known
        if not self.observe(model, day).trusted:
            return None
        job = evaluating.evaluate_job(self.store, self._spec(model, day), day)
        if job is None:
            return None
        made = self.deployment.result(job, self._spec(model, day).jobs, Evaluation)
        return adopt_or_put(self.store, record_key(model, day, "quality"), made)

    def decide(self, model: str, day: date) -> Decision:
        """Compare with the baseline, find the cause, decide; from stored facts alone."""
        known = get_record(self.store, record_key(model, day, "decision"), Decision)
        if known is not None:
            return known
        opened, spec = opened_day(self.store, model, day), self._spec(model, day)
        people.listen(self.deployment, spec, day)
        days = spec.policy.baseline.days + HISTORY_EXTRA_DAYS
        comparing.compare_prompts(self.store, spec, day, days)
        facts: DayFacts = adopt_or_put(
            self.store, record_key(model, day, "facts"), gather(self.store, opened, days)
        )
        drifts: Drift = adopt_or_put(
            self.store, record_key(model, day, "drift"), drift.compare(facts, spec.policy)
        )
        found: Diagnosis = adopt_or_put(
            self.store, record_key(model, day, "diagnosis"), diagnosis.diagnose(facts, drifts)
        )
        price = spec.price_on(day)
        hint = scaling_hint(self.store, model, day, price.machines if price else None)
        adopt_or_put(self.store, record_key(model, day, "scaling"), hint)
        made = decision.decide(facts, drifts, found, spec.policy, decision.methods_of(spec))
        return adopt_or_put(self.store, record_key(model, day, "decision"), made)

    def wish(self, model: str, day: date, owner: str = "") -> Wish | None:
        """What the day would start: the policy's action, or the one that a person ordered.

        ``owner`` names the run, whose own parameters say whether it may start anything.
        """
        return allotting.wish_of(self.store, model, day, owner)

    def allot(self, day: date, wishes: Sequence[Wish]) -> tuple[Allotted, ...]:
        """Answer the fleet's wishes of a day out of its budget; what was answered is adopted."""
        return allotting.allot(self.store, self.deployment.fleet, day, wishes)

    def act(self, model: str, day: date, owner: str = "") -> JobPlan | None:
        """Say what follows: what the day wished for, if the budget had room for it.

        Raises:
            ParamError: the wish was not answered yet; :meth:`allot` comes first.

        """
        wish = self.wish(model, day, owner)
        if wish is None:
            return None
        given = answer(read_chain(self.store, day), wish)
        if given is None:
            what = f"the {wish.kind} of {model} was not answered by the fleet's budget"
            raise ParamError("day", day.isoformat(), what, "allot the day first")
        if given.verdict == "refused":
            return None
        return JobPlan(model, day, wish.kind, follow_up(model, day, wish.kind))

    def report(self, model: str, day: date, owner: str = "", *, force: bool = False) -> str:
        """Project the day, and what late data made of the days before, to MLflow; the run's id.

        The day is free then.

        ``force`` trusts nothing that was sent before: it heals what was deleted in MLflow.
        """
        tracker, spec = self.deployment.tracker(), self._spec(model, day)
        people.ask(self.deployment, spec, day)
        for past in observing.late_days(spec, day):
            if late.revisions(self.store, model, past):
                tracker.project_day(self.store, model, past)
        run_id = tracker.project_day(self.store, model, day, force=force)
        if owner:
            Lease.acquire(self.store, _lease(model, day), owner, LEASE_TTL_S).release()
        return run_id

    def mlflow_run_url(self, model: str, day: date, kind: str | None = None) -> str | None:
        """The page of the day's run, or of its job's; None if nothing was projected."""
        place = run_place(self.store, model, day, kind)
        return place.url(self.deployment.tracking_uri) if place else None

    def asks_approval(self, model: str, day: date) -> bool:
        """Whether the model's file wants a person's yes before a promotion."""
        return self._spec(model, day).gate.require_approval

    # ------------------------------------------------------------------ the candidate

    def run_job(self, model: str, day: date, kind: Kind, method: str | None = None) -> Candidate:
        """Make a candidate on the cluster, or adopt the one that is there."""
        return self._route(model, day, kind).run_job(method)

    def gate(self, model: str, day: date, kind: Kind) -> GateResult:
        """Measure the candidate against the champion and judge."""
        return self._route(model, day, kind).gate()

    def promote(
        self,
        model: str,
        day: date,
        kind: Kind,
        approval: Approval | None,
        *,
        require_approval: bool = False,
    ) -> LedgerEntry | None:
        """Make the candidate champion; None where the gate or a person refused."""
        route = self._route(model, day, kind)
        return route.promote(approval, require_approval=require_approval)

    def rollback(
        self, model: str, to: str | None, note: str, key: str, day: date | None = None
    ) -> LedgerEntry:
        """Put an earlier champion back; ``day`` is the day that decided it, None by hand."""
        return promotion.rollback(
            self.store, self.deployment.tracker(), model, to=to, note=note, key=key, day=day
        )

    # ------------------------------------------------------------------ the review

    def reviewed_day(self, model: str, day: date) -> date:
        """The day whose model a review looks at: the last decided one up to ``day``."""
        return inspecting.reviewed_day(self.store, model, day)

    def review(self, model: str, day: date) -> Review:
        """Inspect a decided day's model on the cluster, or adopt the review that is there."""
        return inspecting.review(self.deployment, model, day)

    def _spec(self, model: str, day: date) -> ModelSpec:
        return spec_of(opened_day(self.store, model, day))

    def _route(self, model: str, day: date, kind: Kind) -> CandidateRoute:
        return CandidateRoute(self.deployment, opened_day(self.store, model, day), kind)


def _lease(model: str, day: date) -> str:
    return f"{model}/{day.isoformat()}"
