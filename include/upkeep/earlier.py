"""What earlier days found of ways to compress a model: from the records of trials and gates.

A search is told of it, so that what was refused on the same machine is tried last and what was
measured there predicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from upkeep.gate_cost import FASTER
from upkeep.pictures import put_file
from upkeep.records import Benchmark, Candidate, Earlier, FileHash, GateResult, Step, Trial
from upkeep.search_params import target_name
from upkeep.store import Store, get_record, record_key

_KEY = re.compile(r"/(\d{4}-\d\d-\d\d)/r1/(?:compress/gate|jobs/compress/trials/(\d+))\.json")
MAX_WORDS_CHARS = 300


def put_earlier(store: Store, key: str, model: str, day: date) -> FileHash:
    """Write what is known of the days before ``day``, once; the hash is of what lies there."""
    lines = (found.canonical_bytes() + b"\n" for found in earlier_of(store, model, day))
    return put_file(store, key, b"".join(lines))


def earlier_of(store: Store, model: str, day: date) -> Iterator[Earlier]:
    """Every trial and every gate of a compression of the days before, the oldest first."""
    for key in store.list(f"{model}/"):
        found = _KEY.fullmatch(key.removeprefix(model))
        if found is None or (then := date.fromisoformat(found[1])) >= day:
            continue
        known = _gate(store, model, then) if found[2] is None else _trial(store, key, then)
        if known is not None:
            yield known


def _trial(store: Store, key: str, day: date) -> Earlier | None:
    trial = get_record(store, key, Trial)
    if trial is None or trial.state == "stopped":
        return None
    measured = trial.measured
    if measured is None:
        return Earlier(
            day=day,
            target=trial.target,
            steps=trial.steps,
            verdict="failed",
            words=trial.reason[:MAX_WORDS_CHARS],
        )
    return Earlier(
        day=day,
        target=trial.target,
        steps=trial.steps,
        verdict="slower" if measured.speedup < 1.0 else "measured",
        speedup=measured.speedup,
        size_share=measured.size_share,
        quality_loss=measured.quality_loss,
    )


def _gate(store: Store, model: str, day: date) -> Earlier | None:
    """What the gate said of the day's candidate; None where a record of it is missing."""
    gate = get_record(store, record_key(model, day, "compress/gate"), GateResult)
    made = get_record(store, record_key(model, day, "compress/candidate"), Candidate)
    measured = get_record(store, record_key(model, day, "compress/benchmark"), Benchmark)
    if gate is None or made is None or measured is None:
        return None
    machine = measured.machine
    failed = [row.words for row in gate.rows if not row.passed]
    size = measured.candidate_size_bytes / max(1, measured.champion_size_bytes)
    return Earlier(
        day=day,
        target=target_name(machine.get("cpu", ""), machine.get("threads", "")),
        steps=made.steps or (Step(method=made.method),),
        verdict="passed" if gate.passed else "refused",
        speedup=next((row.effect for row in gate.rows if row.check == FASTER), None),
        size_share=size,
        words="; ".join(failed)[:MAX_WORDS_CHARS],
    )
