"""Each image measure against the libraries that it stands on, called directly.

    python -m benchmarks.image_measures --tools .upkeep/tools/digits [--samples 1000 100000]

``--tools`` is what ``make run FLEET=all`` leaves: a real extractor (ONNX) and held-out digits,
from which n images are made by noise. The library's side decodes with Pillow, runs onnxruntime in
batches of 64 and calls torchmetrics for one number. Upkeep gives an interval and two slices with
theirs as well; its FID is one at infinite n, 20 distances more. Each run is a process of its own,
the two sides in turn; seconds are from after the imports until the score is there. The goal is
1.1 times the library.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from upkeep.pictures import Pictures, image_name, unpack

if TYPE_CHECKING:
    import torch

MEASURES = ("fid", "kid", "inception_score")
MOST_KID = 5_000  # as the measure has it
BATCH = 64
WARM = 400  # images that both sides see before the clock starts
Floats = NDArray[np.float32]


def images(tools: Path, n: int) -> tuple[list[bytes], dict[str, bytes]]:
    """N images as PNG, and the references by name."""
    from PIL import Image

    references = unpack("references", (tools / "references.parquet").read_bytes())
    real = [np.asarray(Image.open(io.BytesIO(png))) for png in references.values()]
    draw, made = np.random.default_rng(0), []
    for number in range(n):
        noisy = real[number % len(real)] + draw.normal(0.0, 12.0, real[0].shape)
        out = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, format="PNG")
        made.append(out.getvalue())
    return made, references


def upkeep_call(name: str, tools: Path, n: int) -> Callable[[], float]:
    """Upkeep's measure over a day of n images."""
    from upkeep.quality import Material, Settings, measure
    from upkeep.records import Sample

    made, references = images(tools, n)

    def material(some: list[bytes]) -> Material:
        samples = [
            Sample(id=f"s{i}", slice="ab"[i % 2], prompt="x", completion=image_name(png))
            for i, png in enumerate(some)
        ]
        outputs = {image_name(png): png for png in some}
        pictures = Pictures(outputs, references, (tools / "features", "0" * 64))
        return Material(samples, Settings(), lambda: sys.exit("no model is asked"), pictures)

    measure(name)(material(made[:WARM]), name)
    day = material(made)
    return lambda: measure(name)(day, name).score


def library_call(name: str, tools: Path, n: int) -> Callable[[], float]:
    """Pillow, onnxruntime and torchmetrics alone."""
    import onnxruntime
    import torch
    from PIL import Image

    made, references = images(tools, n)
    config = json.loads((tools / "features" / "config.json").read_text())
    session = onnxruntime.InferenceSession(str(tools / "features" / "model.onnx"))

    def see(pngs: list[bytes]) -> tuple[torch.Tensor, torch.Tensor]:
        parts = []
        for at in range(0, len(pngs), BATCH):
            opened = (Image.open(io.BytesIO(png)) for png in pngs[at : at + BATCH])
            batch = np.stack([np.asarray(each, np.float32) for each in opened])
            fed = {config["input"]: batch[:, None] / np.float32(255.0)}
            parts.append(session.run([config["features"], config["logits"]], fed))
        features, logits = (np.concatenate(each) for each in zip(*parts, strict=True))
        return torch.from_numpy(features).double(), torch.from_numpy(logits).double()

    def score(pngs: list[bytes]) -> float:
        features, logits = see(pngs)
        if name == "inception_score":
            return _inception_score(logits)
        real, _ = see(list(references.values()))
        return (_fid if name == "fid" else _kid)(features, real)

    score(made[:WARM])
    return lambda: score(made)


def _fid(features: torch.Tensor, real: torch.Tensor) -> float:
    from torch.nn import Identity
    from torchmetrics.image.fid import FrechetInceptionDistance

    given = Identity()
    given.num_features = features.shape[1]
    metric = FrechetInceptionDistance(feature=given).set_dtype(features.dtype)
    metric.update(real, real=True)
    metric.update(features, real=False)
    return float(metric.compute())


def _kid(features: torch.Tensor, real: torch.Tensor) -> float:
    """All pairs of as many images as there are references: its function wants equal numbers."""
    from torchmetrics.image.kid import poly_mmd

    n = min(len(features), len(real), MOST_KID)
    return float(poly_mmd(real[:n], features[:n]))


def _inception_score(logits: torch.Tensor) -> float:
    from torch.nn import Identity
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(feature=Identity(), splits=1)
    metric.update(logits)
    return float(metric.compute()[0])


SIDES = {"upkeep": upkeep_call, "library": library_call}


def one_run(side: str, name: str, tools: Path, n: int) -> dict[str, float]:
    """Score, seconds and peak memory (MB) of one process."""
    command = [sys.executable, "-m", "benchmarks.image_measures", "--tools", str(tools)]
    done = subprocess.run(
        [*command, "--side", side, name, str(n)], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Compare each measure at each size; ``--side`` is one run of one side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--samples", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "MEASURE", "SAMPLES"))
    asked = parser.parse_args()
    if asked.side:
        side, name, n = asked.side
        call = SIDES[side](name, asked.tools, int(n))
        begun = time.perf_counter()
        score = call()
        seconds = time.perf_counter() - begun
        rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"score": score, "seconds": seconds, "rss_mb": rss_mb}))
        return
    for name in MEASURES:
        for n in asked.samples:
            pairs = [[one_run(s, name, asked.tools, n) for s in SIDES] for _ in range(asked.rounds)]
            ours, theirs = (
                {key: statistics.median(run[key] for run in side) for key in side[0]}
                for side in zip(*pairs, strict=True)
            )
            ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in pairs)
            sides = "  ".join(
                f"{side} {run['seconds']:7.2f} s {run['rss_mb']:5.0f} MB {run['score']:.4f}"
                for side, run in zip(SIDES, (ours, theirs), strict=True)
            )
            print(f"{name:15} {n:>7,} images  {sides}  time x{ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
