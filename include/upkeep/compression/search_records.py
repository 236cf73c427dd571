"""Where a search keeps what it finds: each trial is in the store before the next one begins.

::

    <prefix>/trials/0007.try-1.json    the trial was begun (TrialStart)
    <prefix>/trials/0007.json          what came of it (Trial)
    <prefix>/finalists/0007.json       the same, measured once more and longer
    <prefix>/search.json               how the search ended (SearchResult)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from upkeep import faults
from upkeep.records import Earlier, SearchResult, Step, Trial, TrialStart
from upkeep.store import Store, adopt_or_put, get_record


class Trials:
    """The records of one search; every one is written once, and what lies there is adopted."""

    def __init__(
        self, store: Store, prefix: str, *, earlier: Sequence[Earlier] = (), threads: int = 1
    ) -> None:
        """Keep under ``prefix``; ``earlier`` is what earlier days found, ``threads`` the job's."""
        self._store, self._prefix = store, prefix
        self.earlier, self.threads = tuple(earlier), threads

    def known(self) -> list[Trial]:
        """The trials that are finished, by number, without a gap."""
        found: list[Trial] = []
        for number in count():
            trial = get_record(self._store, self._key("trials", number), Trial)
            if trial is None:
                return found
            found.append(trial)
        raise AssertionError

    def begin(self, number: int, steps: Sequence[Step], most: int) -> int:
        """Note that a trial begins; which attempt it is. ``most + 1``: it may not begin again."""
        for attempt in range(1, most + 1):
            start = TrialStart(number=number, attempt=attempt, steps=tuple(steps))
            key = self._key("trials", number).replace(".json", f".try-{attempt}.json")
            if get_record(self._store, key, TrialStart) is None:
                adopt_or_put(self._store, key, start)
                return attempt
        return most + 1

    def put(self, trial: Trial) -> Trial:
        """Keep a finished trial."""
        faults.point(f"search.before_trial_{trial.number}")
        kept = adopt_or_put(self._store, self._key("trials", trial.number), trial)
        faults.point(f"search.after_trial_{trial.number}")
        return kept

    def finalist(self, number: int) -> Trial | None:
        """The finalist of this number, if it was measured."""
        return get_record(self._store, self._key("finalists", number), Trial)

    def put_finalist(self, trial: Trial) -> Trial:
        """Keep a finalist."""
        kept = adopt_or_put(self._store, self._key("finalists", trial.number), trial)
        faults.point("search.after_finalist")
        return kept

    def result(self) -> SearchResult | None:
        """How the search ended, if it did."""
        return get_record(self._store, f"{self._prefix}/search.json", SearchResult)

    def put_result(self, result: SearchResult) -> SearchResult:
        """Keep how the search ended."""
        kept = adopt_or_put(self._store, f"{self._prefix}/search.json", result)
        faults.point("search.after_result")
        return kept

    def _key(self, kind: str, number: int) -> str:
        return f"{self._prefix}/{kind}/{number:04d}.json"
