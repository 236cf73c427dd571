"""A day whose compression searched: its trials and result beside the day's other records.

What it does not prove: that a worker leaves these; the search's own tests do.
"""

from __future__ import annotations

from datetime import date

from upkeep.records import Measured, Prediction, SearchResult, Step, Trial
from upkeep.sealed import seal
from upkeep.store import Store

ROUTES = ("openvino-int8", "openvino-int4", "prune-mlp > openvino-int4")
FIGURES = ((0.0005, 3.3, 0.28), (0.0033, 2.9, 0.18), (0.021, 4.1, 0.14))


def trial_of(number: int) -> Trial:
    """A trial of the search; the last one failed."""
    route = ROUTES[number % len(ROUTES)]
    steps = tuple(Step(method=name, params={"bits": 8}) for name in route.split(" > "))
    is_failed = number == len(FIGURES)
    return Trial(
        number=number,
        route=route,
        steps=steps,
        suggested={"route": route},
        target="a machine, 2 threads",
        predicted=Prediction(speedup=4.0, size_share=0.25, words="bytes of the weights"),
        state="failed" if is_failed else "measured",
        reason="ValueError: no <b>such</b> layer" if is_failed else "",
        measured=None if is_failed else measured_of(*FIGURES[number]),
        measurements={} if is_failed else {"step1_seconds": 2.5},
        notes=("made by a fake",),
        seconds=12.5,
    )


def measured_of(loss: float, speedup: float, share: float) -> Measured:
    """What was measured of a trial."""
    return Measured(
        quality_loss=loss,
        quality_loss_se=0.0004,
        speedup=speedup,
        size_bytes=round(share * 1e6),
        size_share=share,
        token_agreement=0.8,
        precision="weights u8, f32",
        rounds=6,
        samples=120,
    )


def record_search(store: Store, model: str, day: date, *, chosen: int | None = 1) -> None:
    """Write three trials that were measured, one that failed, a finalist and the result."""
    for number in range(len(FIGURES) + 1):
        _put(store, model, day, f"trials/{number:04d}", trial_of(number))
    better = trial_of(1).measured
    assert better is not None
    longer = better.model_copy(update={"rounds": 20, "speedup": 2.8})
    last = trial_of(1).model_copy(update={"measured": longer})
    _put(store, model, day, "finalists/0001", last)
    result = SearchResult(
        goal={"max_quality_loss": 0.01, "prefer": "size"},
        target="a machine, 2 threads",
        trials=4,
        front=(0, 1, 2),
        finalists=(1,),
        chosen=chosen,
        nearest=1,
        why=f"trial 1 (openvino-int4): {longer.words}. It is the smallest, the only one.",
        ended="the budget of 4 trials is spent",
        tried_last=("pruning+quantization",),
    )
    _put(store, model, day, "search", result)


def _put(store: Store, model: str, day: date, name: str, record: Trial | SearchResult) -> None:
    key = f"{model}/{day.isoformat()}/r1/jobs/compress/{name}.json"
    store.put_if_absent(key, seal(record))
