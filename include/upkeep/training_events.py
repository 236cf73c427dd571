"""The loss curve as TensorBoard's event file, the same bytes for the same curve.

Records of TensorBoard's own writer; only the clock is left out, so that a job that is repeated
leaves the same file: every event's time is 0, and TensorBoard's axis is the step.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from upkeep.fit_course import Check

NAME = "events.out.tfevents.0.upkeep"
VERSION = "brain.Event:2"


def write_events(curve: Iterable[Check], folder: Path) -> None:
    """Write the curve's scalars ``loss/train`` and ``loss/held_out`` to a file in ``folder``."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=0.0, file_version=VERSION).SerializeToString())
        for check in curve:
            scalars = {"loss/train": check.train, "loss/held_out": check.held_out}
            values = [
                Summary.Value(tag=tag, simple_value=value)
                for tag, value in scalars.items()
                if value is not None
            ]
            event = Event(wall_time=0.0, step=check.step, summary=Summary(value=values))
            writer.write(event.SerializeToString(deterministic=True))
