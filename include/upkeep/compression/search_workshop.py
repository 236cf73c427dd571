"""Where a search makes its models, and which of them it keeps until the end."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from upkeep.compression.chain import run_steps, size_bytes
from upkeep.records import Sample, Step

SPARE_BYTES = 64 * 2**20


class Piece(NamedTuple):
    """A model that was made: its folder, what was measured while it was, notes of its methods."""

    folder: Path
    measurements: dict[str, float]
    notes: tuple[str, ...]


class Workshop:
    """Makes models of ``champion`` under ``root``, at most once each as long as it keeps them."""

    def __init__(self, champion: Path, calibration: Sequence[Sample], root: Path) -> None:
        """``calibration`` are the texts that the methods see; nothing is made yet."""
        self._champion, self._calibration, self._root = champion, list(calibration), root
        self._needed = SPARE_BYTES + 2 * size_bytes(champion)
        self._kept: dict[int, Piece] = {}

    def make(self, number: int, steps: Sequence[Step]) -> Piece:
        """The model of a trial.

        Raises:
            OSError: (ENOSPC) the disk has not twice the champion's size to spare.

        """
        if number not in self._kept:
            free = shutil.disk_usage(self._root).free
            if free < self._needed:
                words = f"a trial needs {self._needed:,} bytes of disk, {free:,} are free"
                raise OSError(errno.ENOSPC, words)
            folder = self._root / f"{number:04d}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            measurements, notes = run_steps(self._champion, self._calibration, steps, folder)
            self._kept[number] = Piece(folder, measurements, notes)
        return self._kept[number]

    def keep_only(self, numbers: Collection[int]) -> None:
        """Delete every other model: the disk holds those that may still be chosen."""
        for number in [n for n in self._kept if n not in numbers]:
            shutil.rmtree(self._kept.pop(number).folder)
        for folder in self._root.iterdir():
            if int(folder.name) not in self._kept:
                shutil.rmtree(folder)
