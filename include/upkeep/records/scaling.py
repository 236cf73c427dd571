"""When of the week a model's machines are needed."""

from __future__ import annotations

from datetime import date
from typing import Literal

from upkeep.records.base import Count, ModelName, NonNegative, Record, Share


class ScalingHint(Record):
    """What a schedule of machines by hour of the week would save, from the days seen so far.

    ``basis`` is what the load was read from: ``gpu_share`` (share of the GPUs in use times the
    machines) or ``concurrency`` (requests being served at once). ``load`` has one entry for
    each of the week's 168 hours, Monday 00 UTC first, in machines or in requests; None where no
    week has it. ``machines`` are those needed at ``target_share`` of their capacity; empty where
    it is not known what one machine can serve. ``saved_share`` is the share of the peak's
    machine-hours that the schedule would not pay for; None where nothing can be said.
    ``pattern_share`` is the share of the hours' absolute deviation that the hour of the week
    foretells in weeks it was not learnt from.
    """

    model: ModelName
    day: date
    basis: Literal["gpu_share", "concurrency", "none"]
    target_share: Share
    weeks_seen: NonNegative
    load: tuple[float | None, ...]
    machines: tuple[Count, ...]
    quiet_hours: tuple[Count, ...]
    full_hours: tuple[Count, ...]
    pattern_share: float | None
    saved_share: Share | None
    words: str
