"""MLflow's review queue: offered once, shown as it is, read back as ratings and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest
from fakes.mlflow_server import free_port, shared_server

from upkeep import faults, tracking_reviews
from upkeep.errors import TrackingError
from upkeep.pictures import image_name
from upkeep.records import Criterion, Sample
from upkeep.tracking_client import Mlflow
from upkeep.tracking_output import GONE, MORE, NO_PICTURE, PREVIEW_CHARS
from upkeep.tracking_reviews import Reviews

pytestmark = pytest.mark.stack

DAY, NEXT = date(2026, 3, 5), date(2026, 3, 6)
CRITERIA: tuple[Criterion, ...] = ("coherence", "relevance")
EVIL = "![x](http://127.0.0.1:9/x.png) # <b>{{ 1 + 1 }}</b>"


class World:
    """One model with its own experiment on the shared server."""

    def __init__(self) -> None:
        """A name that no other test has."""
        self.model, self.uri = f"m-{uuid4().hex[:12]}", shared_server().uri
        self.reviews, self.mlflow = Reviews(self.uri), Mlflow(self.uri, 300.0)

    @property
    def experiment(self) -> str:
        """The id of the model's experiment."""
        return str(self.mlflow.call("get_experiment_by_name", f"upkeep/{self.model}").experiment_id)

    def traces(self) -> list[Any]:
        """Every trace of the experiment, with its spans."""
        found = self.mlflow.call("search_traces", locations=[self.experiment])
        return sorted(found, key=lambda t: t.info.tags["upkeep.sample"])

    def queues(self) -> list[Any]:
        """Every queue of the experiment."""
        return list(self.mlflow.call_store("list_review_queues", self.experiment))

    def items(self, queue: Any) -> list[str]:
        """The ids of the traces in a queue."""
        found = self.mlflow.call_store("list_review_queue_items", queue.queue_id)
        return sorted(item.item_id for item in found)

    def said(self, trace: Any, name: str, value: Any, **more: Any) -> str:
        """Somebody's assessment, as MLflow's review page sends it; its id."""
        from mlflow.entities import AssessmentSource, Feedback

        source = AssessmentSource(more.pop("kind", "HUMAN"), more.pop("who", "jo"))
        made = Feedback(name=name, value=value, source=source, trace_id=trace.info.trace_id, **more)
        return str(self.mlflow.call_store("create_assessment", made).assessment_id)


@pytest.fixture
def world() -> World:
    """A model of which nothing was offered yet."""
    return World()


def _samples(*names: str, completion: str = "an answer") -> list[Sample]:
    return [Sample(id=n, slice="s", prompt=f"ask {n}", completion=completion) for n in names]


def test_offering_again_adds_nothing(world: World) -> None:
    """One trace an output, of that day, with its prompt and output; one queue with them."""
    samples = _samples("a", "b")
    added = [world.reviews.offer(world.model, DAY, samples, CRITERIA) for _ in range(2)]
    assert added == [2, 0]
    first, second = world.traces()
    assert first.info.tags["upkeep.sample"] == f"{world.model}/2026-03-05/a"
    assert datetime.fromtimestamp(first.info.request_time / 1000, UTC).date() == DAY
    assert (first.info.request_preview, first.info.response_preview) == ("ask a", "an answer")
    [span] = first.data.spans
    assert (span.inputs, span.outputs) == ({"prompt": "ask a"}, {"completion": "an answer"})
    [queue] = world.queues()
    assert queue.name == f"upkeep {world.model}"
    assert world.items(queue) == sorted([first.info.trace_id, second.info.trace_id])


@pytest.mark.parametrize("point", ["tracking.reviews.spans", "tracking.reviews.trace"])
def test_a_try_that_died_is_finished(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Between contents and tag, or between two outputs: the next try leaves each there once."""

    def die(name: str) -> None:
        if name == point:
            raise KeyboardInterrupt

    monkeypatch.setattr(faults, "point", die)
    with pytest.raises(KeyboardInterrupt):
        world.reviews.offer(world.model, DAY, _samples("a", "b"), CRITERIA)
    monkeypatch.undo()
    world.reviews.offer(world.model, DAY, _samples("a", "b"), CRITERIA)
    assert [t.info.tags["upkeep.sample"][-1] for t in world.traces()] == ["a", "b"]
    assert [len(t.data.spans) for t in world.traces()] == [1, 1]
    assert [len(world.items(queue)) for queue in world.queues()] == [2]


def test_the_questions_are_one_to_five_with_their_meaning(world: World) -> None:
    """Nothing but a whole number can be chosen; the first criterion is asked first."""
    world.reviews.offer(world.model, DAY, _samples("a"), CRITERIA)
    listed = world.mlflow.call_store("list_label_schemas", world.experiment)
    asked = [schema for schema in listed if not schema.is_default]
    assert [schema.name for schema in asked] == list(CRITERIA)
    assert all(schema.input.options == ["1", "2", "3", "4", "5"] for schema in asked)
    assert all("1:" in schema.instruction and "5:" in schema.instruction for schema in asked)


def test_other_criteria_get_another_queue(world: World) -> None:
    """MLflow freezes the questions of a queue that holds a trace."""
    world.reviews.offer(world.model, DAY, _samples("a"), CRITERIA)
    for _ in range(2):
        world.reviews.offer(world.model, NEXT, _samples("b"), ("realism",))
    names = sorted(queue.name for queue in world.queues())
    assert names == [f"upkeep {world.model}", f"upkeep {world.model}: realism"]
    assert [len(world.items(queue)) for queue in world.queues()] == [1, 1]


def test_production_s_text_does_nothing_on_the_page(world: World) -> None:
    """No image is fetched, no heading is made; a long text says that it is cut, and is whole."""
    long = "word_ " * 400
    world.reviews.offer(world.model, DAY, _samples("a", completion=EVIL + long), CRITERIA)
    [trace] = world.traces()
    shown = trace.info.response_preview
    assert shown.startswith(r"\!\[x\](http\://127.0.0.1:9/x.png) # \<b\>{{ 1 + 1 }}\</b\>")
    assert len(shown) <= PREVIEW_CHARS
    assert shown.endswith(MORE)
    assert trace.data.spans[0].outputs["completion"].count(r"word\_") == 400


@pytest.mark.parametrize(("side", "inline"), [(8, True), (96, False)])
def test_an_image_is_shown(world: World, *, side: int, inline: bool) -> None:
    """In the review page where it fits into MLflow's column; on the trace's page always."""
    png = _noise(side)
    samples = _samples("a", completion=image_name(png))
    world.reviews.offer(world.model, DAY, samples, CRITERIA, {image_name(png): png})
    [trace] = world.traces()
    preview = trace.info.response_preview
    assert (
        preview.startswith("![image](data:image/png;base64,") if inline else preview == NO_PICTURE
    )
    reference = trace.data.spans[0].outputs["image"]
    name = reference.removeprefix("mlflow-attachment://").split("?")[0]
    assert _pixels(_attachment(world, trace.info.trace_id, name)) == _pixels(png)


def _pixels(png: bytes) -> bytes:
    """An image of 96 pixels a side, enlarged or not: each pixel stays what it was."""
    import io

    from PIL import Image

    image = Image.open(io.BytesIO(png))
    if image.size == (8, 8):
        image = image.resize((128, 128), Image.Resampling.NEAREST)
    assert max(image.size) >= 96
    return image.tobytes()


def test_an_image_that_is_none_says_so(world: World) -> None:
    """Missing in the store, or no image: the reviewer is told, and the other outputs go on."""
    broken = image_name(b"no png")
    samples = [*_samples("a", completion=image_name(b"gone")), *_samples("b", completion=broken)]
    assert world.reviews.offer(world.model, DAY, samples, CRITERIA, {broken: b"no png"}) == 2
    assert [t.info.response_preview for t in world.traces()] == [GONE, GONE]


def _noise(side: int) -> bytes:
    import io
    import random

    from PIL import Image

    out = io.BytesIO()
    data = random.Random(1).randbytes(side * side)
    Image.frombytes("L", (side, side), data).save(out, "PNG")
    return out.getvalue()


def _attachment(world: World, trace_id: str, name: str) -> bytes:
    import urllib.request

    path = f"ajax-api/3.0/mlflow/get-trace-artifact?request_id={trace_id}&path={name}"
    with urllib.request.urlopen(f"{world.uri}/{path}") as answer:  # noqa: S310 - ours
        return bytes(answer.read())


def test_only_people_s_whole_numbers_are_ratings(world: World) -> None:
    """What a judge model said, a half, an unknown name and a text are counted, not used."""
    world.reviews.offer(world.model, DAY, _samples("a"), CRITERIA)
    [trace] = world.traces()
    world.said(trace, "coherence", "4", who="Jo@Example.com")
    world.said(trace, "relevance", 5.0)
    world.said(trace, "coherence", 3, kind="LLM_JUDGE", who="gpt")
    for value in (0, 6, 3.5, True, "good", "٣"):
        world.said(trace, "coherence", value, who="odd")
    world.said(trace, "helpfulness", 4)
    ratings, excluded = world.reviews.answers(world.model, (DAY, DAY), CRITERIA)
    found = {(r.criterion, r.value, r.rater, r.sample_id, r.day, r.door) for r in ratings}
    assert found == {
        ("coherence", 4, "jo@example.com", "a", DAY, "mlflow"),
        ("relevance", 5, "jo", "a", DAY, "mlflow"),
    }
    assert {(e.reason, e.n) for e in excluded} == {
        ("no feedback of a person", 1),
        ("its value is not a whole number from 1 to 5", 6),
        ("its name is no criterion of this model", 1),
    }


def test_a_changed_or_deleted_answer_is_the_one_that_stands(world: World) -> None:
    """Overridden: the new one alone; deleted: none."""
    world.reviews.offer(world.model, DAY, _samples("a"), CRITERIA)
    [trace] = world.traces()
    before = world.said(trace, "coherence", "1")
    world.said(trace, "coherence", "5", overrides=before)
    gone = world.said(trace, "relevance", "2")
    world.mlflow.call_store("delete_assessment", trace.info.trace_id, gone)
    ratings, excluded = world.reviews.answers(world.model, (DAY, DAY), CRITERIA)
    assert [(r.criterion, r.value) for r in ratings] == [("coherence", 5)]
    assert excluded == []


def test_answers_of_the_window_are_read_page_by_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day outside the window is not; no page is left out."""
    monkeypatch.setattr(tracking_reviews, "PAGE", 2)
    world.reviews.offer(world.model, DAY, _samples("a", "b", "c"), CRITERIA)
    world.reviews.offer(world.model, NEXT, _samples("d"), CRITERIA)
    for trace in world.traces():
        world.said(trace, "coherence", "3")
    ratings, _ = world.reviews.answers(world.model, (DAY, DAY), CRITERIA)
    assert sorted(r.sample_id for r in ratings) == ["a", "b", "c"]


def test_a_trace_that_only_looks_like_ours_is_not_read(world: World) -> None:
    """Anybody may set a tag; the id is the hash of what the trace shows."""
    world.reviews.offer(world.model, DAY, _samples("a"), CRITERIA)
    [trace] = world.traces()
    world.said(trace, "coherence", "3")
    other = f"{world.model}/2026-03-05/b"
    world.mlflow.call_store("set_trace_tag", trace.info.trace_id, "upkeep.sample", other)
    assert world.reviews.answers(world.model, (DAY, DAY), CRITERIA) == ([], [])


def test_nothing_offered_is_nothing_answered(world: World) -> None:
    """No experiment is made by asking."""
    assert world.reviews.offer(world.model, DAY, [], CRITERIA) == 0
    assert world.reviews.answers(world.model, (DAY, DAY), CRITERIA) == ([], [])
    assert world.mlflow.call("get_experiment_by_name", f"upkeep/{world.model}") is None


def test_a_server_that_is_down_is_a_tracking_error() -> None:
    """Of either call; whoever asked decides what that means."""
    reviews = Reviews(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TrackingError):
        reviews.offer("m", DAY, _samples("a"), CRITERIA)
    with pytest.raises(TrackingError):
        reviews.answers("m", (DAY, DAY), CRITERIA)
