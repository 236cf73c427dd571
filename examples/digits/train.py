"""Train both digit models: ``python -m examples.digits.train --out DIR``.

Leaves ``DIR/gan`` and ``DIR/vae`` (config.json, model.safetensors), ``DIR/features`` (the
classifier, ONNX) and ``DIR/references.parquet``, the held-out real digits that generated ones
are compared with.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from examples.digits import classifier, data, gan, painter, vae
from upkeep.pictures import image_name, pack

Progress = Callable[[str], None]


def train(out: Path, seed: int = 0, progress: Progress = print) -> Path:
    """Train the models and return ``out``; a finished ``out`` is adopted.

    The same seed, libraries and machine give the same weights. ``out`` appears when it is whole.
    """
    if out.exists():
        progress(f"{out} is there already")
        return out
    started = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        made = Path(folder) / "made"
        _train(made, seed, progress)
        shutil.move(made, out)
    progress(f"trained in {time.monotonic() - started:.0f} s: {out}")
    return out


def _train(out: Path, seed: int, progress: Progress) -> None:
    import torch

    from examples.digits.networks import GAN, VAE

    torch.set_num_threads(1)  # the servers start on the other core meanwhile
    training, held_out = data.load()
    judge = classifier.fit(training, seed, progress)
    progress(f"classifier: {classifier.accuracy(judge, held_out):.1%} of held-out digits right")
    classifier.export(judge, out / "features")
    painter.save(gan.fit(training, seed, progress), GAN, out / "gan")
    painter.save(vae.fit(training, seed, progress), VAE, out / "vae")
    (out / "references.parquet").write_bytes(pack_digits(held_out))


def pack_digits(digits: data.Digits) -> bytes:
    """Real digits as the Parquet file that measures compare with; equal ones stand once."""
    pngs = [data.to_png(image) for image in digits.images]
    return pack({image_name(png): png for png in pngs})


def main(argv: Sequence[str] | None = None) -> None:
    """Train into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    train(
        arguments.out,
        arguments.seed,
        progress=lambda words: print(f"    {words}", file=sys.stderr, flush=True),
    )


if __name__ == "__main__":
    main()
