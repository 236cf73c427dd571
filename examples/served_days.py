"""Days of production as their servers leave them: answered in a mixed order, written at once.

Requests of the days asked for together are answered in a mixed order, so that a stall of this
machine falls on all of those days alike. A day is JSON lines, one file an hour, closed by
``_complete.json`` with size and SHA-256 of each file. It appears by a rename, whole or not at
all; a day that is there already is never written again.
"""

from __future__ import annotations

import gc
import json
import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

from upkeep.records import canonical_json, sha256_hex

Progress = Callable[[str], None]
Row = dict[str, Any]
RequestT = TypeVar("RequestT")

MANIFEST = "_complete.json"


def unserved(out: Path, days: Mapping[int, date], progress: Progress) -> list[int]:
    """Those of the days, by number, that are not there yet; of the others it is said."""
    missing = [number for number, day in days.items() if not (out / day.isoformat()).exists()]
    for number in sorted(set(days) - set(missing)):
        progress(f"day {number} is there already")
    return missing


def answer_days(
    asked: Mapping[int, Sequence[RequestT]],
    answer: Callable[[RequestT], Row],
    progress: Progress,
) -> dict[int, list[Row]]:
    """The rows of each day's requests, in order of their ids.

    The first request is answered once more than is logged: the first call of a process is slow.
    """
    todo = [(number, request) for number, day in asked.items() for request in day]
    random.Random(0).shuffle(todo)
    rows: dict[int, list[Row]] = defaultdict(list)
    answer(todo[0][1])
    gc.collect()
    gc.freeze()  # a collection over everything that was loaded would fall on one request
    for done, (number, request) in enumerate(todo, start=1):
        rows[number].append(answer(request))
        if done % 200 == 0 or done == len(todo):
            progress(f"{done} of {len(todo)} requests answered")
    gc.unfreeze()
    for day in rows.values():
        day.sort(key=lambda row: str(row["request_id"]))
    return rows


def rfc3339(moment: datetime) -> str:
    """A time in UTC as a log row has it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_day(
    out: Path, day: date, rows: Sequence[Row], finish: Callable[[Path], object] | None = None
) -> None:
    """The day's folder, whole or not at all; whoever renames first wins.

    ``finish`` is given the folder when its log is written, before anybody sees it.

    Raises:
        OSError: somebody else's day is there.

    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{day}-", dir=out) as place:
        folder = Path(place) / "day"
        folder.mkdir()
        write_hours(folder, rows)
        if finish is not None:
            finish(folder)
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
