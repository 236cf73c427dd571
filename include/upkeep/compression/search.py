"""``search``: the best way to compress this model on this machine, within a budget.

Routes and settings are tried one after the other: predicted, made, measured beside the champion
in turn, recorded. What is in the records is never done again, so that a search that was killed
goes on after its last finished trial and ends with the same study. A trial that fails is
recorded with its reason; the end of disk or memory ends the search, and what was measured
counts. The best finalists are measured once more and longer, and the best of these is the
candidate; where none meets the goal, the result says so and names the nearest.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from upkeep import benchmark
from upkeep.compression import search_choice as choice
from upkeep.compression.chain import check_params
from upkeep.compression.search_measure import Yardstick, out_of_room, split
from upkeep.compression.search_plan import Plan, plan, refused, suggest
from upkeep.compression.search_predict import Profile, known_of, predict, profile_of
from upkeep.compression.search_records import Trials
from upkeep.compression.search_space import Space, Suggestion
from upkeep.compression.search_workshop import Workshop
from upkeep.errors import ParamError, UpkeepError
from upkeep.formats.safetensors import signature
from upkeep.job_params import read_params
from upkeep.records import Sample, SearchResult, Trial
from upkeep.search_params import SearchParams
from upkeep.search_routes import default_routes
from upkeep.store import open_store

log = logging.getLogger("upkeep.worker")

MOST_ATTEMPTS = 2  # a trial that ended the process so often is recorded as failed
MAX_REASON_CHARS = 500
FAILURES = (
    *(UpkeepError, OSError, RuntimeError, ValueError, TypeError, ArithmeticError, LookupError),
    *(AttributeError, AssertionError, ImportError, MemoryError),
)
"""What a method may raise on a model that it cannot handle: a reason, not the search's end."""


def compress(
    champion: Path,
    samples: Sequence[Sample],
    method: str,
    params: Mapping[str, Any],
    out: Path,
    trials: Trials | None = None,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Search, and write the chosen model (or the nearest) into ``out``; see ``Compress``.

    Without ``trials`` nothing of the search is kept beyond this call.

    Raises:
        ParamError: nothing at all could be measured: "no candidate, because ..".

    """
    settings = read_params(SearchParams, method, params)
    with tempfile.TemporaryDirectory(prefix="upkeep-search-") as folder:
        kept = trials or Trials(open_store(f"{folder}/store"), "search")
        root = Path(folder) / "models"
        root.mkdir()
        return _Search(champion, samples, settings, kept, root).run(out)


class _Search:
    """One search; everything of it that outlives a kill is in its records."""

    def __init__(
        self,
        champion: Path,
        samples: Sequence[Sample],
        params: SearchParams,
        trials: Trials,
        root: Path,
    ) -> None:
        self._champion, self._params, self._trials = champion, params, trials
        self._parts = split(samples, params)
        self._space = Space(params.routes or tuple(default_routes()))
        for label in self._space.routes:
            for step in self._space.first(label).steps:
                check_params(step)
        self._threads = params.threads or trials.threads
        self._target = benchmark.target(self._threads)
        self._profile = _profile(champion)
        self._refused = refused(trials.earlier, self._target)
        self._workshop = Workshop(champion, self._parts.calibration, root)
        self._measuring: Yardstick | None = None

    def run(self, out: Path) -> tuple[dict[str, float], tuple[str, ...]]:
        """Go on to the end, and write the best model into ``out``."""
        known = self._trials.known()
        result = self._trials.result()
        if result is None:
            ended = self._try_all(known)
            result = self._trials.put_result(self._judge(known, ended))
        number = result.nearest if result.chosen is None else result.chosen
        best = next(trial for trial in known if trial.number == number)
        piece = self._workshop.make(best.number, best.steps)
        shutil.copytree(piece.folder, out, dirs_exist_ok=True)
        return self._told(known, best, result)

    # ------------------------------------------------------------ trials

    def _try_all(self, known: list[Trial]) -> str:
        """Add trials to ``known`` until budget, space or machine end; what ended it, in words."""
        order = self._plan()
        while not (ended := self._ended(known)):
            most = self._params.trials
            asked = suggest(self._space, order, known, seed=self._params.seed, trials=most)
            if asked is None:
                return "every setting of the space was tried"
            known.append(self._trials.put(self._trial(asked, known)))
            _tell(known[-1])
            self._workshop.keep_only(choice.front(known))
        return ended

    def _plan(self) -> Plan:
        """The order of the routes, by what can be predicted before the first trial."""
        before = known_of(self._trials.earlier, (), self._target)
        predicted = {
            label: predict(self._space.first(label).steps, self._profile, before)
            for label in self._space.routes
        }
        return plan(self._space, predicted, self._refused)

    def _ended(self, known: Sequence[Trial]) -> str:
        if known and known[-1].state == "stopped":
            return known[-1].reason
        if self._params.trials is not None and len(known) >= self._params.trials:
            return f"the budget of {self._params.trials} trials is spent"
        minutes = sum(trial.seconds for trial in known) / 60.0
        if self._params.minutes is not None and minutes >= self._params.minutes:
            return f"the budget of {self._params.minutes:g} minutes is spent"
        return ""

    def _trial(self, asked: Suggestion, known: Sequence[Trial]) -> Trial:
        """Try it: what came of it, or the reason why nothing did."""
        number, started = len(known), time.perf_counter()
        before = known_of(self._trials.earlier, known, self._target)
        found: dict[str, Any] = {"state": "measured"}
        try:
            found |= self._measured(number, asked)
        except FAILURES as error:
            state = "stopped" if out_of_room(error) else "failed"
            found = {"state": state, "reason": _reason(error)}
        return Trial(
            number=number,
            route=asked.route,
            steps=asked.steps,
            suggested=asked.chosen,
            target=self._target,
            predicted=predict(asked.steps, self._profile, before),
            seconds=time.perf_counter() - started,
            **found,
        )

    def _measured(self, number: int, asked: Suggestion) -> dict[str, Any]:
        if self._trials.begin(number, asked.steps, MOST_ATTEMPTS) > MOST_ATTEMPTS:
            words = f"the process ended {MOST_ATTEMPTS} times in this trial, perhaps for memory"
            raise RuntimeError(words)
        piece = self._workshop.make(number, asked.steps)
        measured = self._yardstick().measure(piece.folder, piece.measurements, self._params.rounds)
        return {
            "measured": measured,
            "measurements": piece.measurements,
            "notes": piece.notes,
        }

    def _yardstick(self) -> Yardstick:
        """The loaded champion; loaded when it is first needed."""
        if self._measuring is None:
            dev = self._parts.dev
            self._measuring = Yardstick(self._champion, dev, self._params, self._threads)
        return self._measuring

    # ------------------------------------------------------------ the end

    def _judge(self, known: Sequence[Trial], ended: str) -> SearchResult:
        """Measure the finalists longer, and choose."""
        goal = self._params.goal
        best = choice.ranked(known, goal)[: self._params.finalists]
        if not best:
            first = next((t for t in known if t.reason), None)
            words = f"trial {first.number} ({first.route}): {first.reason}" if first else ended
            raise ParamError(
                "search",
                len(known),
                f"no candidate, because none of {len(known)} trials could be measured; {words}",
                "look at the trials' reasons",
            )
        finalists = [self._finalist(trial) for trial in best]
        chosen, nearest = choice.choose(finalists, goal)
        return SearchResult(
            goal={name: value for name, value in goal.model_dump().items() if value is not None},
            target=self._target,
            trials=len(known),
            front=choice.front(known),
            finalists=tuple(trial.number for trial in finalists),
            chosen=chosen.number if chosen else None,
            nearest=nearest.number,
            why=choice.why(known, finalists, goal),
            ended=ended,
            tried_last=self._refused,
        )

    def _finalist(self, trial: Trial) -> Trial:
        """The trial, measured over more rounds; as it was where the room for that is gone."""
        done = self._trials.finalist(trial.number)
        if done is not None:
            return done
        found: dict[str, Any]
        try:
            piece = self._workshop.make(trial.number, trial.steps)
            rounds = self._params.final_rounds
            found = {
                "measured": self._yardstick().measure(piece.folder, piece.measurements, rounds)
            }
        except FAILURES as error:
            if not out_of_room(error):
                raise
            found = {"reason": f"not measured longer: {_reason(error)}"}
        return self._trials.put_finalist(trial.model_copy(update=found))

    def _told(
        self, known: Sequence[Trial], best: Trial, result: SearchResult
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        last = self._trials.finalist(best.number)
        measured = last.measured if last else best.measured
        numbers = {"trials": float(len(known)), "seconds": sum(t.seconds for t in known)}
        if measured is not None:
            numbers |= {
                "dev_quality_loss": measured.quality_loss,
                "dev_speedup": measured.speedup,
                "dev_size_share": measured.size_share,
            }
        failed = [trial for trial in known if trial.state != "measured"]
        notes = (result.why, f"the search ended: {result.ended}; {len(failed)} trials failed")
        return {**best.measurements, **numbers}, (*notes, *best.notes)


def _profile(champion: Path) -> Profile:
    shapes = {name: shape for name, (_, shape) in signature(champion).items()}
    size = sum(f.stat().st_size for f in champion.rglob("*") if f.is_file())
    return profile_of(sorted(shapes.items()), size)


def _reason(error: BaseException) -> str:
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return words if len(words) <= MAX_REASON_CHARS else words[: MAX_REASON_CHARS - 1] + "…"


def _tell(trial: Trial) -> None:
    came = trial.measured.words if trial.measured else f"{trial.state}: {trial.reason}"
    log.info("trial %d, %s: %s (%.1f s)", trial.number, trial.route, came, trial.seconds)
