"""Serve days of production: ``python -m examples.docs_assistant.serve --model DIR ...``.

Each request is really answered by the model; tokens are counted and times measured as they
happen. Only the time stamps are laid out over the day, because sixteen days do not fit into a
minute. The requests of the days asked for together are answered in a mixed order, so that a
stall of this machine falls on all of those days alike.

A day is JSON lines, one file an hour, closed by ``_complete.json`` with size and SHA-256 of each
file. It appears at once, by a rename; a day that is there already is never written again.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol, cast

from examples.docs_assistant import corpus, traffic
from examples.docs_assistant.traffic import DAMAGED_DAY, Request
from upkeep.records import canonical_json, sha256_hex
from upkeep.runtime import Format, Generation, load

Progress = Callable[[str], None]
Row = dict[str, Any]

NEW_TOKENS = 14
MANIFEST = "_complete.json"
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
    folders = [out / traffic.day_date(number).isoformat() for number in days]
    missing = [n for n, folder in zip(days, folders, strict=True) if not folder.exists()]
    if missing:
        texts = corpus.load()
        asked = {number: traffic.requests(texts, number, seed) for number in missing}
        rows = _answer(runtime(), version, asked, progress)
        for number in missing:
            _write_day(out, number, rows[number])
    for number in sorted(set(days) - set(missing)):
        progress(f"day {number} is there already")
    return folders


def _answer(
    runtime: Answers, version: str, asked: Mapping[int, Sequence[Request]], progress: Progress
) -> dict[int, list[Row]]:
    """Rows of each day, in order of time."""
    todo = [(number, request) for number, day in asked.items() for request in day]
    random.Random(0).shuffle(todo)
    rows: dict[int, list[Row]] = defaultdict(list)
    runtime.generate(todo[0][1].prompt, NEW_TOKENS)  # the first call of a process is slow
    gc.collect()
    gc.freeze()  # a collection over everything that was loaded would fall on one request
    for done, (number, request) in enumerate(todo, start=1):
        rows[number].append(_row(request, version, runtime.generate(request.prompt, NEW_TOKENS)))
        if done % 200 == 0 or done == len(todo):
            progress(f"{done} of {len(todo)} requests answered")
    gc.unfreeze()
    for day in rows.values():
        day.sort(key=lambda row: str(row["request_id"]))
    return rows


def _row(request: Request, version: str, answer: Generation) -> Row:
    row: Row = {
        "request_id": request.id,
        "time": _rfc3339(request.time),
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


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_day(out: Path, number: int, rows: Sequence[Row]) -> None:
    """The day's folder, whole or not at all; whoever renames first wins."""
    day: date = traffic.day_date(number)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{day}-", dir=out) as place:
        folder = Path(place) / "day"
        folder.mkdir()
        write_hours(folder, rows)
        if number == DAMAGED_DAY:
            damage(folder)
        os.rename(folder, out / day.isoformat())  # noqa: PTH104 - refuses a folder with files


def write_hours(folder: Path, rows: Sequence[Row]) -> None:
    """24 files of JSON lines and their manifest; an hour without requests is an empty file."""
    hours: dict[str, list[bytes]] = {f"{hour:02d}.jsonl": [] for hour in range(24)}
    for row in rows:
        hours[f"{row['time'][11:13]}.jsonl"].append(canonical_json(row) + b"\n")
    files = {}
    for name, lines in hours.items():
        data = b"".join(lines)
        (folder / name).write_bytes(data)
        files[name] = {"size_bytes": len(data), "sha256": sha256_hex(data)}
    manifest = json.dumps({"files": files}, indent=1)
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")


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
