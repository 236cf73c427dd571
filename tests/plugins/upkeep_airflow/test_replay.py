"""The tasks of ``replay`` over a real store of decided days."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from fakes.cycle import Cycle as FakeCycle
from fakes.replayed_store import put_story, tamper, told
from fakes.sixteen_days import DEFAULTS, MODEL

from upkeep.replay_records import FleetReplay
from upkeep.store import get_record, record_key
from upkeep_airflow import daily, replay
from upkeep_airflow.notes import SAID_KEY, headline

RULE = "{cause: traffic_mix,     action: retrain}"
LOOKS = DEFAULTS.read_text().replace(RULE, "{cause: traffic_mix, action: investigate}")


class FakeTask:
    """A task instance that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def xcom_push(self, key: str, value: list[str]) -> None:
        """Keep it."""
        assert key == SAID_KEY
        self.said += value


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCycle:
    """The cycle that the tasks get: its store holds the sixteen days; no model is in the fleet."""
    made = FakeCycle(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps({"fleet": {"models": []}}))
    put_story(made.store, told())
    monkeypatch.setattr(daily, "cycle", lambda: made)
    monkeypatch.setattr(replay, "name_map_index", lambda label: None)
    return made


def _run(**conf: Any) -> SimpleNamespace:
    at = datetime(2026, 4, 1, tzinfo=UTC)
    return SimpleNamespace(dag_id="replay", run_id="r1", logical_date=None, run_after=at, conf=conf)


def _whole(ti: FakeTask, **conf: Any) -> str:
    """All tasks, one after the other."""
    shards = replay.open_replay(_run(**conf))
    return replay.tell([replay.decide_again(shard, _run(**conf)) for shard in shards], ti)


def test_the_recorded_policy_gives_every_byte_again(fake: FakeCycle) -> None:
    """The note says so; beside the answers nothing is written."""
    before, ti = set(fake.store.list("")), FakeTask()
    key = _whole(ti)
    assert "16 of 16 are byte for byte" in headline(ti.said)[0].replace("\\", "")
    made = get_record(fake.store, key, FleetReplay)
    assert made is not None
    assert not made.failed
    assert {name.split("/")[0] for name in set(fake.store.list("")) - before} == {"replays"}


def test_a_second_run_adopts_what_is_there(fake: FakeCycle) -> None:
    """The same key, and no record more."""
    first = _whole(FakeTask(), policy=LOOKS)
    before = fake.store.list("")
    assert _whole(FakeTask(), policy=LOOKS) == first
    assert fake.store.list("") == before


def test_another_policy_shows_its_flips_in_the_note(fake: FakeCycle) -> None:
    """The number of flips, and each in a line."""
    ti = FakeTask()
    _whole(ti, policy=LOOKS, models=[MODEL], from_day="2026-03-14")
    assert "1 decision flipped" in ti.said[0]
    assert "2026-03-17: retrain → investigate" in ti.said[1].replace("\\", "")


def test_a_tampered_day_fails_the_run_and_is_named(fake: FakeCycle) -> None:
    """After the answer lies in the store and the note is said."""
    ti, key = FakeTask(), record_key(MODEL, told().days[5].facts.day, "facts")
    tamper(fake.store, key, b"docs-assistant", b"docs-assistent")
    with pytest.raises(AirflowFailException, match=r"facts\.json"):
        _whole(ti)
    assert "15 of 16" in ti.said[0]


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        ({"models": ["docs-asistant"]}, "did you mean docs-assistant"),
        ({"from_day": "2026-3-5"}, "is not an ISO day"),
        ({"from_day": "2026-03-06", "to_day": "2026-03-05"}, "is before from_day"),
        ({"policy": "a: &a [*a]"}, "names no finished value"),
        ({"policy": "version: x"}, "is missing"),
        ({"policy": 3}, "must be text"),
        ({"policy": "#" * 40_000}, "is longer than"),
        ({"polcy": "x"}, "did you mean policy"),
        ({"day": "2026-03-05"}, "unknown parameter"),
        ({"policy": "{{ 1 + 1 }}"}, "policy"),
    ],
)
def test_what_is_not_allowed_ends_the_run_at_once(
    fake: FakeCycle, conf: dict[str, Any], why: str
) -> None:
    """In the first task, before a day is read; nothing is left behind."""
    before = fake.store.list("")
    with pytest.raises(AirflowFailException, match=why):
        replay.open_replay(_run(**conf))
    assert fake.store.list("") == before
