"""A cycle whose steps only say what they would do: for the DAGs and their order.

Facts lie in one folder (``UPKEEP_FAKE``), so that several processes share them: ``plan.json``
says what each model decides (default ``keep``) and which step of which model fails or hangs;
``calls.jsonl`` gets one line a call. What it does not prove: anything about the steps.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from upkeep.errors import ParamError, StoreError
from upkeep.records import (
    Allotted,
    Approval,
    Candidate,
    Decision,
    Evaluation,
    Folder,
    GateResult,
    GateRow,
    LedgerEntry,
    Reason,
    Review,
    ReviewFinding,
    Revision,
    ValidationResult,
    Wish,
)
from upkeep.store import Store, open_store

ZEROS = "0" * 64


@dataclass(frozen=True)
class StartedDay:
    """As ``upkeep.cycle.StartedDay``."""

    day: date
    models: tuple[str, ...]
    attached: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobPlan:
    """As ``upkeep.cycle.JobPlan``."""

    model: str
    day: date
    kind: str
    run_id: str


class Cycle:
    """The steps' names and types, with made-up results and a history of calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: Store = open_store(str(folder / "store"))

    @classmethod
    def from_env(cls, credentials: object = None) -> Cycle:
        """Read ``UPKEEP_FAKE``."""
        return cls(Path(os.environ["UPKEEP_FAKE"]))

    def plan(self, name: str) -> dict[str, Any]:
        """What ``plan.json`` says under a name."""
        path = self.folder / "plan.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        return known.get(name, {})

    def calls(self) -> list[list[Any]]:
        """The history: step, model and the rest as text."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _called(self, step: str, model: str, *rest: Any) -> None:
        line = json.dumps([step, model, *map(str, rest)]) + "\n"
        with (self.folder / "calls.jsonl").open("a") as out:
            out.write(line)
        if self.plan("fails").get(model) == step:
            raise StoreError(f"{step} of {model} fails, as the plan says")
        if self.plan("hangs").get(model) == step:
            self._hang(step, model)

    def _hang(self, step: str, model: str) -> None:
        """Wait until the file ``go`` is there, then refuse; no retry would help."""
        deadline = time.monotonic() + 300.0
        while not (self.folder / "go").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        raise ParamError(model, step, "hung, as the plan says", "let it go")

    def fleet_names(self) -> tuple[str, ...]:
        """The models of the plan."""
        return tuple(self.plan("fleet").get("models", ["docs-assistant"]))

    def start(self, params: Any, owner: str) -> StartedDay:
        """Attach what the plan holds."""
        self._called("start", "", params.day, owner, params.action)
        held = self.plan("held")
        mine = tuple(model for model in params.models if model not in held)
        attached = {model: held[model] for model in params.models if model in held}
        return StartedDay(params.day, mine, attached, self.plan("refused"))

    def observe(self, model: str, day: date) -> ValidationResult:
        """Always trusted."""
        self._called("observe", model, day)
        return ValidationResult(
            model=model, day=day, trusted=True, coverage=1.0, bad_share=0.0, findings=(),
            suite="fake", suite_sha256=ZEROS,
        )  # fmt: skip

    def look_back(self, model: str, day: date) -> list[Revision]:
        """Nothing came late."""
        self._called("look_back", model, day)
        return []

    def evaluate(self, model: str, day: date) -> Evaluation | None:
        """Nothing to evaluate."""
        self._called("evaluate", model, day)

    def decide(self, model: str, day: date) -> Decision:
        """The plan's action."""
        self._called("decide", model, day)
        reason = Reason(
            fact="f", value="1", rule="r", threshold="2", words="perplexity rose *20 %*"
        )
        return Decision(
            model=model, day=day, revision=1, action=self.plan("action").get(model, "keep"),
            cause="none", reasons=(reason,), champion_version="1", job=None, inputs=(),
            policy_version="1", policy_sha256=ZEROS,
        )  # fmt: skip

    def wish(self, model: str, day: date, owner: str = "") -> Wish | None:
        """The run that would follow; none where ``decide`` was planned to fail."""
        self._called("wish", model, day)
        action = self.plan("action").get(model, "keep")
        undecided = "decide" in (self.plan("fails").get(model), self.plan("hangs").get(model))
        follows = action in ("compress", "retrain", "rollback") and not undecided
        return Wish(model=model, kind=action) if follows else None

    def allot(self, day: date, wishes: Sequence[Wish]) -> tuple[Allotted, ...]:
        """Grant all but what the plan refuses."""
        self._called("allot", "", day, *(f"{w.model} {w.kind}" for w in wishes))
        return tuple(self._answer(wish) for wish in wishes)

    def _answer(self, wish: Wish) -> Allotted:
        why = self.plan("short").get(wish.model)
        if why is None:
            return Allotted(wish=wish, verdict="granted", words="granted: 0.00 GPU-hours")
        return Allotted(wish=wish, verdict="refused", words=f"refused: {why}")

    def act(self, model: str, day: date, owner: str = "") -> JobPlan | None:
        """The run that follows, unless the budget was short."""
        self._called("act", model, day)
        wish = self.wish(model, day, owner)
        if wish is None or self._answer(wish).verdict == "refused":
            return None
        return JobPlan(model, day, wish.kind, f"{model}--{day}--{wish.kind}")

    def report(self, model: str, day: date, owner: str = "") -> str | None:
        """One MLflow run for all."""
        self._called("report", model, day, owner)
        return "1"

    def mlflow_run_url(self, model: str, day: date, kind: str | None = None) -> str | None:
        """A made-up address."""
        return f"http://127.0.0.1/{model}/{day}/{kind or 'day'}"

    def asks_approval(self, model: str, day: date) -> bool:
        """As the plan says."""
        return bool(self.plan("asks").get(model))

    def run_job(self, model: str, day: date, kind: str, method: str | None = None) -> Candidate:
        """A candidate without files."""
        self._called("run_job", model, day, kind)
        return Candidate(
            model=model, day=day, job_key=f"{model}/{day}/{kind}", kind=kind, method="fake",
            parent_version="1", format="safetensors", folder=Folder(prefix="p", files=()),
            measurements={},
        )  # fmt: skip

    def gate(self, model: str, day: date, kind: str) -> GateResult:
        """Passes, unless the plan refuses."""
        self._called("gate", model, day, kind)
        passed = not self.plan("refuses").get(model)
        row = GateRow(
            check="perplexity", champion=12.0, candidate=10.0, effect=-0.17, interval=None,
            margin=0.03, passed=passed, words="12.0 -> 10.0 {{ 1 + 1 }}",
        )  # fmt: skip
        return GateResult(
            model=model, day=day, kind=kind, champion_version="1", champion_files_sha256=ZEROS,
            candidate_files_sha256=ZEROS, passed=passed, rows=(row,), benchmark_sha256=ZEROS,
        )  # fmt: skip

    def promote(
        self,
        model: str,
        day: date,
        kind: str,
        approval: Approval | None,
        *,
        require_approval: bool = False,
    ) -> LedgerEntry | None:
        """Version 2, unless somebody said no."""
        said = approval.model_dump_json() if approval else None
        self._called("promote", model, day, kind, said, require_approval)
        no = self.plan("refuses").get(model) or (approval is not None and not approval.approved)
        return None if no else self._entry(model, "promote", "2")

    def reviewed_day(self, model: str, day: date) -> date:
        """The day itself, unless the plan knows of none."""
        if model in self.plan("undecided"):
            raise ParamError("day", str(day), f"no day of {model} was decided", "run it")
        return day

    def review(self, model: str, day: date) -> Review:
        """One warning and one note."""
        self._called("review", model, day)
        warning = ReviewFinding(
            area="infrastructure", rule="threads", severity="warning", what="64 *threads*",
            evidence={"threads": 64.0}, expected_gain="faster", action="set fewer",
        )  # fmt: skip
        note = warning.model_copy(
            update={"severity": "note", "action": None, "no_action_because": "it is a note"}
        )
        return Review(
            model=model, day=day, job_key=f"{model}/{day}/review", model_version="1",
            findings=(warning, note),
        )  # fmt: skip

    def rollback(
        self, model: str, to: str | None, note: str, key: str, day: date | None = None
    ) -> LedgerEntry:
        """The version that was asked for, or 1."""
        self._called("rollback", model, to, note, key, day)
        return self._entry(model, "rollback", to or "1")

    def _entry(self, model: str, event: Any, version: str) -> LedgerEntry:
        return LedgerEntry(
            seq=2, key="k", at=datetime(2026, 3, 1, tzinfo=UTC), model=model, event=event,
            version=version, replaced_version="3", format="safetensors",
            folder=Folder(prefix="p", files=()), day=None, gate_sha256=None, approval=None,
            note="", previous_sha256=None,
        )  # fmt: skip
