"""A person's answers through Airflow's form, over a fake cycle with a real store."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput
from airflow.sdk.timezone import utcnow
from fakes.cycle import Cycle as FakeCycle

from upkeep import reviews
from upkeep.judgement_answers import admit
from upkeep.records import Sample
from upkeep.samples import put_samples, samples_key
from upkeep.spec import Reviews
from upkeep_airflow import daily, rating
from upkeep_airflow.rating import SAVE, SKIP, AskedOutput, AskRating

DAY = date(2026, 3, 14)
EVIL = "{{ 1 + 1 }} ![x](http://127.0.0.1:9/x.png)"
JO = {"id": "1", "name": "Jo"}


class FakeTask:
    """A task instance that keeps nothing."""

    def xcom_push(self, key: str, value: Any) -> None:
        """Forget it."""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCycle:
    """The cycle that the tasks get, with a day on which three outputs were offered."""
    made = FakeCycle(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps({"fleet": {"models": ["a", "b"]}}))
    monkeypatch.setattr(daily, "cycle", lambda: made)
    monkeypatch.setattr(rating, "name_map_index", lambda label: None)
    samples = [Sample(id=f"s{n}", slice="s", prompt=EVIL, completion=f"*{n}*") for n in range(3)]
    put_samples(made.store, samples_key("a", DAY), samples)
    reviews.offer(made.store, "a", DAY, Reviews(criteria=("relevance", "coherence")))
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The questions that reached Airflow."""
    from airflow.providers.standard.operators import hitl

    given: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: given.append(detail))
    return given


def _run(run_id: str = "r1", **conf: Any) -> SimpleNamespace:
    at = datetime(2026, 3, 15, tzinfo=UTC)
    return SimpleNamespace(
        dag_id="rate_outputs", run_id=run_id, logical_date=None, run_after=at, conf=conf
    )


def _open(**conf: Any) -> list[AskedOutput]:
    return rating.open_ratings(_run(**{"models": ["a"], **conf}), FakeTask())


def _context() -> dict[str, Any]:
    return {"task_instance": SimpleNamespace(id="1"), "ti": None}


def _event(option: str, user: Any, **values: int | None) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {"coherence": None, "relevance": None, **values},
        "responded_at": utcnow(),
        "responded_by_user": user,
    }


def test_as_many_outputs_as_wanted_are_asked_about(fake: FakeCycle) -> None:
    """Of the day before where none is named; no text of production is handed on."""
    opened = _open(how_many=2)
    assert [one["place"] for one in opened] == ["1 of 2", "2 of 2"]
    assert {one["day"] for one in opened} == {"2026-03-14"}
    assert len(_open()) == 3
    assert "{{" not in json.dumps(opened)


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"day": "2026-03-13"}, "was offered"),
        ({"models": ["b"]}, "was offered"),
        ({"models": ["a", "b"]}, "one model"),
        ({"how_many": 0}, "how_many"),
        ({"note": "x"}, "unknown parameter"),
    ],
    ids=["other-day", "other-model", "two-models", "none", "unknown"],
)
def test_a_form_that_cannot_be_asked_fails_at_once(
    fake: FakeCycle, conf: dict[str, Any], words: str
) -> None:
    """With words, and without a second try."""
    with pytest.raises(AirflowFailException, match=words):
        _open(**conf)


def test_the_form_shows_prompt_and_output_as_text(fake: FakeCycle, asked: list[Any]) -> None:
    """Beside each other, inert; one empty field a criterion of the model, from 1 to 5."""
    [one] = _open(how_many=1)
    with pytest.raises(TaskAwaitingInput):
        AskRating(task_id="ask", asked=one).execute(_context())
    [detail] = asked
    number = one["sample_id"][-1]
    assert detail["body"] == (
        "**Prompt**\n\n{{ 1 + 1 }} \\!\\[x\\](http\\://127.0.0.1:9/x.png)\n\n---\n\n"
        f"**Output**\n\n\\*{number}\\*"
    )
    assert "a, 2026-03-14" in detail["subject"]
    assert (detail["options"], detail["defaults"]) == ([SAVE, SKIP], [SKIP])
    assert set(detail["params"]) == {"coherence", "relevance"}
    for field in detail["params"].values():
        assert field["value"] is None
        assert (field["schema"]["minimum"], field["schema"]["maximum"]) == (1, 5)


def test_what_a_person_saves_is_recorded_once_under_their_name(fake: FakeCycle) -> None:
    """An empty field is no answer; a retry of the task changes nothing; another run is new."""
    [one] = _open(how_many=1)
    said = AskRating(task_id="ask", asked=one).execute_complete(
        _context(), _event(SAVE, JO, coherence=2)
    )
    counts = [rating.record(one, said, _run(run), FakeTask()) for run in ("r1", "r1", "r2")]
    assert counts == [1, 1, 1]
    keys = fake.store.list("a/2026-03-14/r1/ratings")
    assert len(keys) == 2
    door = SimpleNamespace(answers=lambda *_: ([], []))
    told = reviews.collect_answers(fake.store, door, "a", [DAY])
    [found] = admit(DAY, Reviews(), told.ratings, told.offered).kept
    assert (found.sample_id, found.criterion, found.value) == (one["sample_id"], "coherence", 2)
    assert (found.rater, found.door, found.day) == ("jo", "airflow", DAY)


@pytest.mark.parametrize(
    ("option", "user"), [(SKIP, JO), (SKIP, None), (SAVE, None)], ids=["skip", "late", "nobody"]
)
def test_who_answers_nothing_rates_nothing(fake: FakeCycle, option: str, user: Any) -> None:
    """Skipped, no answer in seven days, or no author: an unknown is no rating."""
    [one] = _open(how_many=1)
    task = AskRating(task_id="ask", asked=one)
    said = task.execute_complete(_context(), _event(option, user, coherence=3))
    assert said is None
    assert rating.record(one, said, _run(), FakeTask()) == 0
    assert fake.store.list("a/2026-03-14/r1/ratings") == []
