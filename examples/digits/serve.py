"""Serve days of a digit model: ``python -m examples.digits.serve --model DIR --kind gan ...``.

Each request is really answered by the model, and its time measured from the request to the
PNG. An image is paid for as one token in (the digit) and 64 out (its pixels); it comes at once,
so that there is no time to a first token. Its name is its content, ``images/<sha256>.png``
beside the day's log; ``served_days`` says what else a day is.

Two faults are planted, both in what stands around a model that is as good as ever:

- ``gan``, from day 10: the deployed noise source is stuck, and hands out one seed only. Every 7
  is the same 7: mode collapse.
- ``vae``, from day 11: a proxy before production keeps thumbnails of 5 x 5 pixels, and scales
  them up again: every image is blurred.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from examples.digits import traffic
from examples.digits.data import SIDE, prompt_of, to_png
from examples.digits.painter import Kind, load
from examples.digits.traffic import Request
from examples.served_days import Progress, Row, answer_days, rfc3339, unserved, write_day
from upkeep.pictures import image_name

STUCK_DAY, STUCK_SEED = 10, 0
THUMBNAIL_DAY, THUMBNAIL_SIDE = 11, 5
TOKENS_IN, TOKENS_OUT = 1, SIDE * SIDE


class Paints(Protocol):
    """What serving needs of a loaded model."""

    def paint(self, digit: int, seed: int) -> np.ndarray:
        """An image [8, 8] in 0..1."""


def serve_days(
    painter: Callable[[], Paints],
    kind: Kind,
    version: str,
    days: Sequence[int],
    out: Path,
    *,
    seed: int = 0,
    progress: Progress = print,
) -> list[Path]:
    """Answer the requests of ``days`` and write a folder for each; returns the folders.

    ``painter`` loads the model, once, and only if a day is still to be served.
    """
    dates = {number: traffic.day_date(number) for number in days}
    missing = unserved(out, dates, progress)
    if missing:
        asked = {n: [(n, request) for request in traffic.requests(kind, n, seed)] for n in missing}
        server = Server(painter(), kind, version)
        rows = answer_days(asked, server.answer, progress)
        for number in missing:
            write_day(out, dates[number], rows[number], server.writer_of_images(rows[number]))
    return [out / day.isoformat() for day in dates.values()]


class Server:
    """Production: the model, and what stands around it."""

    def __init__(self, model: Paints, kind: Kind, version: str) -> None:
        """``images`` holds what was made, by name."""
        self._model, self._kind, self._version = model, kind, version
        self.images: dict[str, bytes] = {}

    def answer(self, asked: tuple[int, Request]) -> Row:
        """Paint what a request of a day asks for; the log's row."""
        number, request = asked
        begun = time.perf_counter()
        image = self._model.paint(request.digit, self._noise(number, request.seed))
        png = to_png(self._delivered(number, image))
        latency_ms = (time.perf_counter() - begun) * 1000
        name = image_name(png)
        self.images[name] = png
        return {
            "request_id": request.id,
            "time": rfc3339(request.time),
            "model_version": self._version,
            "client": request.client,
            "tokens_in": TOKENS_IN,
            "tokens_out": TOKENS_OUT,
            "latency_ms": round(latency_ms, 3),
            "status": "ok",
            "prompt": prompt_of(request.digit),
            "completion": name,
        }

    def writer_of_images(self, rows: Sequence[Row]) -> Callable[[Path], None]:
        """Writes the images of these rows into the folder of their day."""
        return lambda folder: write_images(
            folder, {row["completion"]: self.images[row["completion"]] for row in rows}
        )

    def _noise(self, number: int, seed: int) -> int:
        stuck = self._kind == "gan" and number >= STUCK_DAY
        return STUCK_SEED if stuck else seed

    def _delivered(self, number: int, image: np.ndarray) -> np.ndarray:
        return thumbnail(image) if self._kind == "vae" and number >= THUMBNAIL_DAY else image


def thumbnail(image: np.ndarray) -> np.ndarray:
    """An image made smaller by the mean of what falls on a pixel, scaled up again bilinearly."""
    from PIL import Image

    small = Image.fromarray(image).resize((THUMBNAIL_SIDE,) * 2, Image.Resampling.BOX)
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def write_images(folder: Path, images: Mapping[str, bytes]) -> None:
    """Each image as the file of its name below ``folder``."""
    (folder / "images").mkdir()
    for name, png in images.items():
        (folder / name).write_bytes(png)


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the days that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of model files")
    parser.add_argument("--kind", choices=("gan", "vae"), required=True)
    parser.add_argument("--version", required=True, help="the model's version in the logs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model's logs")
    parser.add_argument("--days", "--day", type=int, nargs="+", required=True, help="1 to 12")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    serve_days(
        lambda: load(given.model, given.kind),
        given.kind,
        given.version,
        given.days,
        given.out,
        seed=given.seed,
        progress=lambda words: print(f"    {words}", file=sys.stderr, flush=True),
    )


if __name__ == "__main__":
    main()
