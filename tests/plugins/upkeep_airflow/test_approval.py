"""A person's yes or no."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.timezone import utcnow

from upkeep_airflow import approval
from upkeep_airflow.approval import AskApproval


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The questions that reached Airflow."""
    from airflow.providers.standard.operators import hitl

    given: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: given.append(detail))
    monkeypatch.setattr(approval, "name_map_index", lambda label: None)
    return given


def _task(*, ask: bool, passed: bool = True) -> AskApproval:
    words = ["✓ perplexity: 12.0 -> 10.0 {{ 1 + 1 }} <b>"]
    verdict = {"model": "a", "passed": passed, "ask": ask, "words": words}
    return AskApproval(task_id="approval", verdict=verdict)


def _context() -> dict[str, Any]:
    return {"task_instance": type("T", (), {"id": "1"})(), "ti": None}


@pytest.mark.parametrize(
    ("ask", "passed"), [(False, True), (True, False)], ids=["nobody-asks", "gate-refused"]
)
def test_nobody_is_asked_without_need(asked: list[Any], *, ask: bool, passed: bool) -> None:
    """The task goes on at once, without an answer."""
    assert _task(ask=ask, passed=passed).execute(_context()) is None
    assert asked == []


def test_the_question_shows_the_gate_s_rows_as_text(asked: list[Any]) -> None:
    """A yes is given knowing the numbers; nothing in them is a template, a tag or a link."""
    with pytest.raises(TaskAwaitingInput):
        _task(ask=True).execute(_context())
    assert "champion of a" in asked[0]["subject"]
    assert asked[0]["body"] == r"- ✓ perplexity: 12.0 -\> 10.0 \{\{ 1 \+ 1 \}\} \<b\>"
    assert (asked[0]["options"], asked[0]["defaults"]) == (["Approve", "Reject"], ["Reject"])


@pytest.mark.parametrize(
    ("choice", "user", "expected"),
    [
        ("Approve", {"id": "1", "name": "jo"}, {"approved": True, "by": "jo", "note": "ok"}),
        ("Reject", {"id": "1", "name": "jo"}, {"approved": False, "by": "jo", "note": "ok"}),
        ("Reject", None, {"approved": False, "by": "nobody (no answer in 7 days)", "note": "ok"}),
    ],
    ids=["yes", "no", "no-answer-in-time"],
)
def test_the_answer_goes_on_with_its_author(
    asked: list[Any], choice: str, user: Any, expected: dict[str, Any]
) -> None:
    """For the ledger; no answer is a no."""
    event = {
        "chosen_options": [choice],
        "params_input": {"comment": "ok"},
        "responded_at": utcnow(),
        "responded_by_user": user,
    }
    assert _task(ask=True).execute_complete(_context(), event) == expected
