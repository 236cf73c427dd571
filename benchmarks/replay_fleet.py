"""How long a replay of a fleet's stored days takes: 100 models x 365 days on two cores.

    export PYTHONPATH=include:tests
    python -m benchmarks.replay_fleet --models 100 --days 365 --jobs 2
    python -m benchmarks.replay_fleet --models 100 --days 365 --jobs 2 --what-if
    python -m benchmarks.replay_fleet --models 100 --days 365 --jobs 2 --what-if --room 1
    python -m benchmarks.replay_fleet --models 1 --days 60 --steps   # where the time goes

``--bases`` made-up models live through the days (tests/fakes/sixteen_days: seeded noise, a
harm of quality now and then), with 25 measures and 60 days of history; the other models are the
same days under other names, with the hashes that they then have. Records are sealed as the
cycle seals them, but written without fsync, in ``--store`` or a folder that is removed.
``--room`` is a budget of so many jobs a day: the less, the more days it is shared out by the
solver.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

from fakes.replayed_store import as_cycle, opened, spec
from fakes.sixteen_days import MODEL, Judged, Noise, Production, Truth

from upkeep.records import DayFacts, History, PastDecision, Record, canonical_json, sha256_hex
from upkeep.replay import replay
from upkeep.replay_day import Reader, decide_again, differing, read_day
from upkeep.replay_fleet import replay_all, summary_of
from upkeep.replay_markdown import markdown
from upkeep.replay_records import ReplayQuestion
from upkeep.sealed import schema_of
from upkeep.spec import Policy
from upkeep.spec_payback import Budget
from upkeep.store import open_store, record_key

HISTORY_DAYS = 60
SLICES = tuple(f"slice-{n}" for n in range(8))
HARM_EVERY, HARM_LASTS = 45, 6
STEPS = ("open", "facts", "drift", "diagnosis", "decision")


class Life(Production):
    """A model with eight slices and sixty days of history; harm now and then."""

    def year(self, days: int) -> Iterator[Judged]:
        """Its days, judged."""
        start = self.day
        for n in range(days):
            factor = 1.9 if n % HARM_EVERY >= HARM_EVERY - HARM_LASTS else 1.0
            truth = Truth(
                perplexity=factor,
                shares={name: 1.0 / len(SLICES) for name in SLICES},
                slice_perplexity=dict.fromkeys(SLICES, factor),
            )
            facts = super().facts(truth)
            long = {"history": History.of(self.history), "past_decisions": tuple(self.past)}
            judged = as_cycle(Judged(facts.model_copy(update=long), *[None] * 3))  # type: ignore[arg-type]
            made = judged.decision
            outcome = "promoted" if made.job else "none"
            past = PastDecision(day=self.day, action=made.action, outcome=outcome)
            self.past = [*self.past, past][-HISTORY_DAYS:]
            self.history = [*self.history, judged.facts.current][-HISTORY_DAYS:]
            self.day = start + timedelta(n + 1)
            yield judged


def records_of(judged: Judged) -> dict[str, Record]:
    """A day's records, in the order in which their hashes go into each other."""
    return {
        "open": opened(MODEL, judged.facts.day),
        "facts": judged.facts,
        "drift": judged.drift,
        "diagnosis": judged.diagnosis,
        "decision": judged.decision,
    }


def named(records: dict[str, Record], model: str) -> Iterator[tuple[str, bytes]]:
    """The day's sealed records under another name, with the hashes that they then have."""
    changed = [(MODEL.encode(), model.encode())]
    for step, record in records.items():
        before = record.canonical_bytes()
        body = before
        for old, new in changed:
            body = body.replace(old, new)
        digest = sha256_hex(body)
        changed.append((sha256_hex(before).encode(), digest.encode()))
        tail = {"schema": schema_of(type(record)), "sha256": digest}
        yield step, b'{"record":' + body + b"," + canonical_json(tail)[1:]


def write(root: Path, models: int, days: int, bases: int) -> list[str]:
    """Fill a store; the models' names."""
    names = [f"model-{n:08d}" for n in range(models)]
    for base in range(min(bases, models)):
        life = Life(base, Noise(), spec().policy, date(2025, 1, 1))
        for judged in life.year(days):
            records = records_of(judged)
            for name in names[base::bases]:
                for step, data in named(records, name):
                    path = root / record_key(name, judged.facts.day, step)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
    return names


def other_policy() -> Policy:
    """Half the tolerance of quality, and a longer cool-down."""
    policy = spec().policy
    narrow = policy.measures["perplexity"].model_copy(update={"tolerance": 0.07})
    measures = {**policy.measures, "perplexity": narrow}
    return policy.model_copy(update={"measures": measures, "cooldown_days": 10})


def cpu_s() -> float:
    """CPU seconds of this process and of those that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def measured(what: str, do: Callable[[], object], model_days: int) -> None:
    """Print wall and CPU time of one thing."""
    wall, cpu = time.perf_counter(), cpu_s()
    do()
    wall, cpu = time.perf_counter() - wall, cpu_s() - cpu
    print(
        f"{what:34} {wall:8.2f} s  CPU {cpu:8.2f} s  {1e3 * cpu / model_days:7.3f} ms a model-day"
    )


def steps(root: Path, name: str) -> None:
    """Where the time of a model-day goes, in one process."""
    store = open_store(str(root))
    days = [d.day for d in replay(store, ReplayQuestion(model=name)).days]
    n = len(days)
    reader = Reader(store)
    measured("list", lambda: store.list(f"{name}/"), n)
    stored = []
    measured(
        "read, verify and parse", lambda: stored.extend(read_day(reader, name, d) for d in days), n
    )
    made = []
    measured(
        "compare, diagnose, decide",
        lambda: made.extend(decide_again(s, s.spec.policy) for s in stored),
        n,
    )
    from upkeep.drift import compare

    measured("of it compare", lambda: [compare(s.facts, s.spec.policy) for s in stored], n)
    measured(
        "compare bytes", lambda: [differing(s, m) for s, m in zip(stored, made, strict=True)], n
    )
    facts = [DayFacts(**dict(s.facts)) for s in stored]
    measured("(hash of facts, not done)", lambda: [f.digest() for f in facts], n)


def main() -> None:
    """Write a store, replay it, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--bases", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--what-if", action="store_true")
    parser.add_argument("--room", type=int)
    parser.add_argument("--steps", action="store_true")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = told.store or Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        names = sorted(p.name for p in root.iterdir()) or write(
            root, told.models, told.days, told.bases
        )
        print(
            f"{len(names)} models x {told.days} days written: {time.perf_counter() - started:.0f} s"
        )
        if told.steps:
            steps(root, names[0])
            return
        run(root, names[: told.models], told.models * told.days, told)


def run(root: Path, names: list[str], model_days: int, told: argparse.Namespace) -> None:
    """Replay with the recorded policy or another one."""
    tried = other_policy().model_dump(mode="json") if told.what_if else None
    room = None if told.room is None else Budget(jobs_per_day=told.room).model_dump(mode="json")
    asked = [ReplayQuestion(model=name, policy=tried, budget=room) for name in names]
    store, answers = open_store(str(root)), []
    what = "another policy" if told.what_if else "the recorded policy"
    measured(
        f"{what}, {told.jobs} processes",
        lambda: answers.extend(replay_all(store, asked, told.jobs)),
        model_days,
    )
    fleets = []
    measured("estimates", lambda: fleets.append(summary_of(answers)), model_days)
    texts = []
    measured("markdown", lambda: texts.append(markdown(fleets[0], answers)), model_days)
    flips = sum(m.flips for m in fleets[0].models)
    same = sum(m.identical for m in fleets[0].models)
    short = sum(bool(day.budget) for answer in answers for day in answer.days)
    print(
        f"{same} of {model_days} identical, {flips} flips, {short} other answers of the budget, "
        f"{len(texts[0])} characters of Markdown"
    )


if __name__ == "__main__":
    main()
