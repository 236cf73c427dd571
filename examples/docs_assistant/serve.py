"""Serve days of production: ``python -m examples.docs_assistant.serve --model DIR ...``.

Each request is really answered by the model; tokens are counted and times measured as they
happen. Only the time stamps are laid out over the day, because sixteen days do not fit into a
minute. ``served_days`` says in which order requests are answered, and what a day's files are.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, cast

from examples.docs_assistant import corpus, traffic
from examples.docs_assistant.traffic import DAMAGED_DAY, Request
from examples.served_days import Progress, Row, answer_days, rfc3339, unserved, write_day
from upkeep.runtime import Format, Generation, load

NEW_TOKENS = 14
GARBAGE = b"\xff\xfe\x00 not json \x00"


class Answers(Protocol):
    """What serving needs of a loaded model."""

    def generate(self, prompt: str, max_new_tokens: int) -> Generation:
        """Greedy continuation of ``prompt``."""


def serve_days(
    runtime: Callable[[], Answers],
    version: str,
    days: Sequence[int],
    out: Path,
    *,
    seed: int = 0,
    progress: Progress = print,
) -> list[Path]:
    """Answer the requests of ``days`` and write a folder for each; returns the folders.

    ``runtime`` loads the model, once, and only if a day is still to be served.
    """
    dates = {number: traffic.day_date(number) for number in days}
    missing = unserved(out, dates, progress)
    if missing:
        texts = corpus.load()
        asked = {number: traffic.requests(texts, number, seed) for number in missing}
        model = runtime()
        rows = answer_days(asked, lambda request: _answered(request, version, model), progress)
        for number in missing:
            finish = damage if number == DAMAGED_DAY else None
            write_day(out, dates[number], rows[number], finish)
    return [out / day.isoformat() for day in dates.values()]


def _answered(request: Request, version: str, model: Answers) -> Row:
    answer = model.generate(request.prompt, NEW_TOKENS)
    row: Row = {
        "request_id": request.id,
        "time": rfc3339(request.time),
        "model_version": version,
        "client": request.client,
        "tokens_in": answer.tokens_in,
        "tokens_out": answer.tokens_out,
        "ttft_ms": round(answer.ttft_ms, 3),
        "latency_ms": round(answer.latency_ms, 3),
        "status": "ok",
        "prompt": request.prompt,
        "completion": answer.text,
    }
    return row | ({"reference": request.reference} if request.reference else {})


def damage(folder: Path) -> list[str]:
    """Spoil every other hour that has requests, as a failing disk would: after the manifest.

    In turn a file is cut off in the middle of a line, or has bytes overwritten. Returns the
    names of the damaged files: half of the day's 24, or as many as hold anything.
    """
    names = sorted(p.name for p in folder.glob("*.jsonl") if p.stat().st_size > 0)
    chosen = sorted(names[::2] + names[1::2][: 12 - len(names[::2])])[:12]
    for place, name in enumerate(chosen):
        data = (folder / name).read_bytes()
        middle = len(data) // 2
        spoilt = data[:middle] + GARBAGE + data[middle + len(GARBAGE) :]
        (folder / name).write_bytes(data[:middle] if place % 2 == 0 else spoilt)
    return chosen


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the days that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of model files")
    parser.add_argument("--format", choices=("safetensors", "openvino"), required=True)
    parser.add_argument("--version", required=True, help="the model's version in the logs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model's logs")
    parser.add_argument("--days", "--day", type=int, nargs="+", required=True, help="1 to 16")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    serve_days(
        lambda: load(given.model, cast("Format", given.format), 1),
        given.version,
        given.days,
        given.out,
        seed=given.seed,
        progress=lambda words: print(f"    {words}", file=sys.stderr, flush=True),
    )


if __name__ == "__main__":
    main()
