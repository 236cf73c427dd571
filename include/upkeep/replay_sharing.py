"""The fleet's budget of past days shared out again, by the function that shared it out then.

Each number of a day's chain of allotments is made again: what models took that are not replayed,
what people ordered and what they started by hand count as taken; the wishes of the replayed
models, as they are carried on, share what is left. A wish that no allotment knows comes with the
first. Where every wish is the recorded one, so is every answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from upkeep.allotment import Limits, share_out
from upkeep.allotment_chain import ALLOTMENTS, answers, read_chain
from upkeep.records import Action, Allotment, Allotted, JobRequest, Used, Wish, WishKind
from upkeep.replay_records import LivedDay
from upkeep.store import Store

Chain = tuple[Allotment, ...]
UNLIMITED = Limits(None, None)
WISHES: Mapping[Action, WishKind] = {
    "compress": "compress", "retrain": "retrain", "rollback": "rollback",
}  # fmt: skip


def read_chains(store: Store) -> dict[date, Chain]:
    """Every day's allotments that a store knows; CorruptRecord if one was changed."""
    found = (ALLOTMENTS.fullmatch(key) for key in store.list("fleet/"))
    days = sorted({date.fromisoformat(m[1]) for m in found if m})
    return {day: read_chain(store, day) for day in days}


class _Turn(NamedTuple):
    """One sharing out of a day: its limits, what others had of it, whose wishes it answered."""

    limits: Limits
    others: tuple[Used, ...]
    wishes: frozenset[tuple[str, str]]


class Budgets:
    """What there is to share on each day, and what was shared."""

    def __init__(
        self, chains: Mapping[date, Chain], models: Collection[str], limits: Limits | None
    ) -> None:
        """``models`` are replayed; ``limits`` are tried, None: each day's own."""
        self._chains, self._models, self._tried = chains, frozenset(models), limits

    def granted(self, model: str, lived: LivedDay) -> bool:
        """Whether the stored decision was carried out, as far as the budget and people say.

        A day without an allotment, or of before there were any, limited nobody.
        """
        if lived.ordered:
            return False
        if lived.decided not in WISHES or lived.day not in self._chains:
            return True
        found = self._recorded(model, lived.day, lived.decided)
        return found is not None and found.verdict != "refused"

    def wish(
        self, model: str, lived: LivedDay, action: Action, job: JobRequest | None
    ) -> Wish | None:
        """What a model asks for on a day that decides so; None: nothing, as on the stored day."""
        kind = WISHES.get(action)
        if kind is None or lived.ordered:
            return None
        known = self._recorded(model, lived.day, action)
        if known is None and lived.day in self._chains and action == lived.decided:
            return None  # the run only looked
        exists = known is not None and known.wish.exists
        wish = Wish(model=model, kind=kind, exists=exists)
        if job is None:
            return wish
        named = ("gpu_hours", "usd_per_day", "harm_per_day", "payback_days")
        return wish.model_copy(update={name: getattr(job, name) for name in named})

    def share(self, day: date, wishes: Sequence[Wish]) -> dict[str, Allotted]:
        """The answer to each wish, by model."""
        if not wishes:
            return {}
        found: dict[str, Allotted] = {}
        taken: dict[tuple[str, str], Used] = {}
        for turn in self._turns(day, wishes):
            taken |= {(used.model, used.kind): used for used in turn.others}
            asking = [w for w in wishes if (w.model, w.kind) in turn.wishes]
            asking = [w for w in asking if w.model not in found or _refused(found[w.model])]
            for made in share_out(asking, turn.limits, list(taken.values())):
                found[made.wish.model] = made
                if made.verdict != "refused" and made.wish.kind != "rollback":
                    taken[made.wish.model, made.wish.kind] = _used(made)
        return found

    def words(self) -> str:
        """What is taken for granted about the budget."""
        n = len(self._models)
        if not self._chains and self._tried is None:
            return "no allotment of the fleet's budget is stored: every job is granted"
        named = {a.wish.model for chain in self._chains.values() for a in answers(chain)}
        others = len(named - self._models)
        shared = f"the fleet's budget is shared out again each day among {n} models"
        return f"{shared}; what {others} other models got of it stays theirs" if others else shared

    def _recorded(self, model: str, day: date, action: str) -> Allotted | None:
        """The standing answer to what the policy wished."""
        own = [
            a
            for a in answers(self._chains.get(day, ()))
            if (a.wish.model, a.wish.kind, a.wish.ordered_by) == (model, action, None)
        ]
        return own[-1] if own else None

    def _turns(self, day: date, wishes: Sequence[Wish]) -> list[_Turn]:
        asked = frozenset((w.model, w.kind) for w in wishes)
        chain = self._chains.get(day, ())
        if not chain:
            return [_Turn(self._tried or self._limits(day), (), asked)]
        turns = []
        for made in chain:
            own = [a.wish for a in made.allotted if self._is_own(a.wish)]
            others = [a for a in made.allotted if not self._is_own(a.wish)]
            used = (*made.by_hand, *(_used(a) for a in others if _takes(a)))
            known = frozenset((w.model, w.kind) for w in own)
            turns.append(_Turn(self._tried or _limits_of(made), used, known))
        new = asked.difference(*(turn.wishes for turn in turns))
        return [turns[0]._replace(wishes=turns[0].wishes | new), *turns[1:]]

    def _is_own(self, wish: Wish) -> bool:
        return wish.model in self._models and wish.ordered_by is None

    def _limits(self, day: date) -> Limits:
        """Those of the last allotment up to a day without one, else of the first after it."""
        before = [known for known in self._chains if known <= day]
        near = max(before) if before else min(self._chains, default=None)
        return UNLIMITED if near is None else _limits_of(self._chains[near][-1])


def _limits_of(made: Allotment) -> Limits:
    return Limits(made.jobs_per_day, made.gpu_hours_per_day, made.why_none)


def _refused(found: Allotted) -> bool:
    return found.verdict == "refused"


def _takes(found: Allotted) -> bool:
    return found.verdict != "refused" and found.wish.kind != "rollback"


def _used(found: Allotted) -> Used:
    wish = found.wish
    return Used(model=wish.model, kind=wish.kind, gpu_hours=wish.gpu_hours)


def digest_of(chains: Mapping[date, Iterable[Allotment]]) -> dict[str, list[str]]:
    """The hashes of all allotments, by day."""
    return {
        day.isoformat(): [made.digest() for made in chain] for day, chain in sorted(chains.items())
    }
