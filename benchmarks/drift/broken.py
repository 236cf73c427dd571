"""Data that is broken on its way: held, looked into or put right, on its own day.

    python -m benchmarks.drift.broken [--models 10] [--seed 1]

Each simulated model writes request logs of ten sound days (latency, prompts, failures and topics
of its course; 480 requests a day). The eleventh is written once as it should be and once for
each way to break it; the real source reads it and the real suite judges it. *Held* is a day that
cannot be trusted, *looked into* one with a finding for a person. Rows delivered twice are *put
right* if they are counted once and every measure is that of the sound day.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.drift import tables
from benchmarks.drift.rendering import LATENCY_MS, PROMPT_CHARS, TTFT_MS, topic
from benchmarks.drift.simulator import START, Course, Model, course_of, day_of, model_of
from benchmarks.drift.worlds import WORLDS
from upkeep.records import DailyMetrics
from upkeep.sources import Asked, collect
from upkeep.spec import ModelSpec
from upkeep.validation import validate

SOUND_DAYS = 10
AN_HOUR = 20
Line = dict[str, Any]
Break = Callable[[list[Line]], list[Line]]


def _nulls(lines: list[Line]) -> list[Line]:
    """A fifth of the latencies is lost."""
    return [line | {"latency_ms": None} if n % 5 == 0 else line for n, line in enumerate(lines)]


def _scaled(factor: float) -> Break:
    def change(lines: list[Line]) -> list[Line]:
        times = ("latency_ms", "ttft_ms")
        return [line | {name: line[name] * factor for name in times} for line in lines]

    return change


def _twice(lines: list[Line]) -> list[Line]:
    return [line for line in lines for _ in range(2)]


def _conflicting(lines: list[Line]) -> list[Line]:
    """A third of the ids is used again, for another request."""
    again = [line | {"latency_ms": line["latency_ms"] + 1.0} for line in lines[::3]]
    return [*lines, *again]


def _half(lines: list[Line]) -> list[Line]:
    """Nothing from noon on; the writer says that this is all."""
    return [line for line in lines if int(line["time"][11:13]) < 12]  # noqa: PLR2004 - noon


BREAKS: dict[str, Break] = {
    "sound": lambda lines: lines,
    "nulls in a fifth of the latencies": _nulls,
    "unit x1000": _scaled(1000.0),
    "unit /1000": _scaled(0.001),
    "every row twice": _twice,
    "ids used again": _conflicting,
    "half a day": _half,
}


def main() -> None:
    """Print what became of each broken day."""
    parser = argparse.ArgumentParser(prog="benchmarks.drift.broken", description=__doc__)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    names = list(WORLDS)
    found: dict[str, Counter[str]] = {name: Counter() for name in BREAKS}
    for number in range(asked.models):
        model = model_of(WORLDS[names[number % len(names)]], number, asked.seed)
        for name, outcome in outcomes(model).items():
            found[name][outcome] += 1
    heads = ("held", "looked into", "put right", "believed")
    rows = [[name, *(str(seen[head]) for head in heads)] for name, seen in found.items()]
    print(tables.table(["day", *heads], rows))


def outcomes(model: Model) -> dict[str, str]:
    """What became of the day for each way to break it."""
    course = course_of(model, SOUND_DAYS + 1)
    with tempfile.TemporaryDirectory(prefix="upkeep-drift-") as folder:
        root = Path(folder)
        history = [_read(root / "sound", model, course, t, BREAKS["sound"]) for t in range(10)]
        days = {
            name: _read(root / str(n), model, course, SOUND_DAYS, change)
            for n, (name, change) in enumerate(BREAKS.items())
        }
    return {name: _outcome(metrics, days["sound"], history) for name, metrics in days.items()}


def _outcome(metrics: DailyMetrics, sound: DailyMetrics, history: Sequence[DailyMetrics]) -> str:
    result, _ = validate(_spec(Path("/unused")), metrics, history)
    if not result.trusted:
        return "held"
    if any(f.severity == "investigate" for f in result.failures):
        return "looked into"
    if metrics is sound:
        return "believed"
    same = _measured(metrics) == _measured(sound)
    return "put right" if same and metrics.flags else "believed"


def _measured(metrics: DailyMetrics) -> dict[str, Any]:
    said = {"source", "flags", "rows_read", "rows_quarantined", "quarantined"}
    return metrics.model_dump(exclude=said)


def _spec(path: Path) -> ModelSpec:
    whole = {
        "name": "simulated",
        "sources": [{"kind": "request_log", "path": str(path)}],
        "prices": [{"since": date(2025, 1, 1), "usd_per_hour": 1.0}],
        "policy": {
            "version": "benchmark",
            "measures": {"latency_p95_ms": {"direction": "lower_is_better", "tolerance": 0.15}},
            "rules": [],
        },
    }
    return ModelSpec.model_validate(whole)


def _read(root: Path, model: Model, course: Course, t: int, change: Break) -> DailyMetrics:
    """Write a day's log, changed, and collect it as the cycle does."""
    _write(root / day_of(t).isoformat(), change(lines_of(model, course, t)))
    return collect(Asked(_spec(root), day_of(t), lambda *_: None)).metrics


def lines_of(model: Model, course: Course, t: int) -> list[Line]:
    """The day's requests: log-normal times around the course's, its topics and failures."""
    rng, n = model.rng("requests", t), 24 * AN_HOUR
    slow = rng.lognormal(-1.645 * 0.5, 0.5, n)  # so that the 95th percentile is the course's
    topics = rng.choice(course.shares.shape[1], n, p=course.shares[t])
    failed = rng.random(n) < course.errors[t]
    chars = rng.poisson(PROMPT_CHARS * course.prompt[t], n)
    return [
        {
            "request_id": f"{day_of(t)}-{i:05d}",
            "time": f"{day_of(t)}T{i // AN_HOUR:02d}:{i % AN_HOUR:02d}:00Z",
            "model_version": "1",
            "client": topic(int(topics[i])),
            "tokens_in": int(chars[i]) // 4,
            "tokens_out": 20,
            "ttft_ms": float(TTFT_MS * course.ttft[t] * min(1.0, slow[i])),
            "latency_ms": float(LATENCY_MS * course.latency[t] * slow[i]) + 100.0,
            "status": "api_error" if failed[i] else "ok",
            "prompt": "x" * int(chars[i]),
            "completion": "It depends.",
        }
        for i in range(n)
    ]


def _write(folder: Path, lines: Sequence[Line]) -> None:
    """24 files of JSON lines and the manifest that closes the day."""
    folder.mkdir(parents=True)
    files = {}
    for hour in range(24):
        rows = [line for line in lines if int(line["time"][11:13]) == hour]
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        if rows or hour < 12:  # noqa: PLR2004 - a day that ends at noon has no later files
            name = f"{hour:02d}.jsonl"
            (folder / name).write_bytes(data)
            files[name] = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "_complete.json").write_text(json.dumps({"files": files}))


if __name__ == "__main__":
    print(f"first day {START}\n")
    main()
