"""What a job costs and what it is worth, as a policy states it; and what the fleet may use a day.

These are expectations: what the model's own past jobs measured stands over them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from upkeep.spec_part import OpenShare, Part

GpuHours = Annotated[float, Field(ge=0.0, le=1_000_000.0)]
Usd = Annotated[float, Field(ge=0.0, le=100_000_000.0)]
Days = Annotated[float, Field(gt=0.0, le=3650.0)]


class CompressPayback(Part):
    """A compression costs ``gpu_hours`` and ``usd`` once, and saves a share of the day's cost.

    Where ``max_payback_days`` is given, one that is not paid back within so many days, or of
    which that is not known, does not start.
    """

    gpu_hours: GpuHours = 0.5
    usd: Usd = 1.0
    saving: OpenShare = 0.3
    max_payback_days: Days | None = None


class RetrainPayback(Part):
    """A retraining costs ``gpu_hours`` and ``usd`` once, and ends the harm to degraded requests.

    ``usd_per_degraded_request`` is what an answer of fallen quality costs; without it the harm
    is counted in tolerances x requests, and payback cannot be asked for.
    """

    gpu_hours: GpuHours = 2.0
    usd: Usd = 4.0
    usd_per_degraded_request: Annotated[float, Field(gt=0.0, le=1_000_000.0)] | None = None
    max_payback_days: Days | None = None


class Payback(Part):
    """What a job of each kind is expected to cost, and how soon it must be paid back."""

    compress: CompressPayback = CompressPayback()
    retrain: RetrainPayback = RetrainPayback()


class Budget(Part):
    """What all models' jobs of one UTC day may use together: ``fleet/budget.yaml``.

    null does not limit. A rollback needs no GPU and no budget.
    """

    jobs_per_day: Annotated[int, Field(ge=0, le=100_000)] | None = None
    gpu_hours_per_day: GpuHours | None = None
