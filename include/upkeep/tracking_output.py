"""One output of production as a trace of MLflow, the same one however often it is made.

A trace's id is the hash of what it shows, so a retried call makes the same trace again and never
a second one. MLflow's review page shows a trace's *previews* as Markdown, at most 1,000
characters each, and an image only from a data URL; its trace page shows the rest.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from upkeep import faults
from upkeep.pictures import is_image_name
from upkeep.projection import day_start_ms
from upkeep.records import Sample, sha256_hex
from upkeep.review_text import inert, inert_within
from upkeep.tracking_client import Mlflow

TAG = "upkeep.sample"
PREVIEW_CHARS = 1000  # MLflow's column
MORE = "**\\[cut: *View full trace* shows the rest\\]**"
NO_PICTURE = "**\\[the image is too large for this page: see *View full trace*\\]**"
GONE = "**\\[the image is missing or broken\\]**"
SMALL_PX = 128  # a smaller image is enlarged: nobody judges eight pixels
DURATION_MS = 1  # a trace needs one; how long the answer took is not what people judge


def trace_id_of(experiment: str, key: str) -> str:
    """The id of the trace of an output; ``key`` is ``<model>/<day>/<sample id>``."""
    return f"tr-{_hexadecimal(experiment, key)}"


class OutputView(NamedTuple):
    """How one output looks in MLflow. ``hexadecimal`` is the trace's id without its prefix."""

    key: str
    hexadecimal: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    previews: tuple[str, str]
    picture: tuple[str, bytes] | None

    @property
    def trace_id(self) -> str:
        """The trace's id: the same one every time."""
        return f"tr-{self.hexadecimal}"

    @classmethod
    def of(
        cls, experiment: str, model: str, day: date, sample: Sample, pictures: Mapping[str, bytes]
    ) -> OutputView:
        """The view of a sample; ``pictures`` are the PNG files of an image model, by name."""
        key = f"{model}/{day.isoformat()}/{sample.id}"
        hexadecimal = _hexadecimal(experiment, key)
        inputs = {"prompt": inert(sample.prompt)}
        before = inert_within(sample.prompt, PREVIEW_CHARS, MORE)
        if not is_image_name(sample.completion):
            after = inert_within(sample.completion, PREVIEW_CHARS, MORE)
            outputs = {"completion": inert(sample.completion)}
            return cls(key, hexadecimal, inputs, outputs, (before, after), None)
        png = _enlarged(pictures.get(sample.completion, b""))
        if not png:
            return cls(key, hexadecimal, inputs, {"image": GONE}, (before, GONE), None)
        name = str(UUID(sha256_hex(png)[:32]))
        what = f"content_type=image%2Fpng&trace_id=tr-{hexadecimal}&size={len(png)}"
        outputs = {"image": f"mlflow-attachment://{name}?{what}"}
        return cls(key, hexadecimal, inputs, outputs, (before, _inline(png)), (name, png))


def _hexadecimal(experiment: str, key: str) -> str:
    return sha256_hex(f"{experiment}/{key}".encode("utf-8", "replace"))[:32]


def _enlarged(png: bytes) -> bytes:
    """The image, a small one enlarged by a whole factor, pixel by pixel; empty where it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            image.load()
            times = SMALL_PX // max(image.size)
            if times < 2:  # noqa: PLR2004 - it is as large as it can be shown
                return png
            large = image.resize(
                (image.width * times, image.height * times), Image.Resampling.NEAREST
            )
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return b""
    out = io.BytesIO()
    large.save(out, "PNG", optimize=True)
    return out.getvalue()


def _inline(png: bytes) -> str:
    """The image in the page itself, where it fits: MLflow's review page shows no attachment."""
    shown = f"![image](data:image/png;base64,{base64.b64encode(png).decode()})"
    return shown if len(shown) <= PREVIEW_CHARS else NO_PICTURE


def make_traces(mlflow: Mlflow, experiment: str, day: date, views: Sequence[OutputView]) -> None:
    """Make the traces: their contents first, the tag by which they count as made at last."""
    if not views:
        return
    at_ms = day_start_ms(day)
    mlflow.call_store("log_spans", experiment, [_span(view, at_ms) for view in views])
    faults.point("tracking.reviews.spans")
    for view in views:
        if view.picture is not None:
            place = mlflow.call_store("get_trace_info", view.trace_id).tags[
                "mlflow.artifactLocation"
            ]
            mlflow.attach(place, *view.picture)
        mlflow.call_store("start_trace", _info(experiment, view, at_ms))
        faults.point("tracking.reviews.trace")


def _span(view: OutputView, at_ms: int) -> Any:
    from mlflow.entities import Span

    attributes = {
        "mlflow.traceRequestId": view.trace_id,
        "mlflow.spanType": "UNKNOWN",
        "mlflow.spanInputs": dict(view.inputs),
        "mlflow.spanOutputs": dict(view.outputs),
    }
    return Span.from_dict(
        {
            "trace_id": _base64(view.hexadecimal),
            "span_id": _base64(view.hexadecimal[:16]),
            "parent_span_id": None,
            "name": "output",
            "start_time_unix_nano": at_ms * 1_000_000,
            "end_time_unix_nano": (at_ms + DURATION_MS) * 1_000_000,
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": {name: json.dumps(value) for name, value in attributes.items()},
            "events": [],
        }
    )


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def _info(experiment: str, view: OutputView, at_ms: int) -> Any:
    from mlflow.entities import TraceInfo, TraceLocation, TraceState

    return TraceInfo(
        trace_id=view.trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=at_ms,
        execution_duration=DURATION_MS,
        state=TraceState.OK,
        request_preview=view.previews[0],
        response_preview=view.previews[1],
        tags={TAG: view.key, "mlflow.traceName": "output"},
    )
