"""TensorBoard's event file: its own reader finds the curve, and equal curves are equal bytes."""

from __future__ import annotations

from pathlib import Path

from upkeep.fit_course import Check
from upkeep.training_events import write_events

CURVE = (Check(0, None, 5.5), Check(50, 4.5, 4.25), Check(100, 3.5, 4.0))


def test_tensorboard_reads_the_curve(tmp_path: Path) -> None:
    """By step; before the first step there is no training loss."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_events(CURVE, tmp_path)
    found = EventAccumulator(str(tmp_path)).Reload()
    read = {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }
    assert read == {
        "loss/held_out": [(0, 5.5), (50, 4.25), (100, 4.0)],
        "loss/train": [(50, 4.5), (100, 3.5)],
    }


def test_the_same_curve_is_the_same_file(tmp_path: Path) -> None:
    """A job that is repeated finds its own file in the store."""
    for name in ("one", "two"):
        write_events(CURVE, tmp_path / name)
    [one] = (tmp_path / "one").iterdir()
    assert one.read_bytes() == (tmp_path / "two" / one.name).read_bytes()
