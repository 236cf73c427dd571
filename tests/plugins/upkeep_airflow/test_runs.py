"""Starting a run from inside a task."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, OKResponse

from upkeep_airflow.runs import start_run


class Supervisor:
    """Keeps what a task sends, and gives one answer."""

    def __init__(self, answer: Any) -> None:
        """Give this answer to everything."""
        self.sent: list[Any] = []
        self._answer = answer

    def send(self, message: Any) -> Any:
        """Keep the message."""
        self.sent.append(message)
        return self._answer


def _start(monkeypatch: pytest.MonkeyPatch, answer: Any) -> tuple[bool, Any]:
    supervisor = Supervisor(answer)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    made = start_run("retrain", "a--2026-03-14--retrain", {"note": "{{ 1 }}"}, "n" * 2000)
    return made, supervisor.sent[0]


def test_a_run_is_started_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a logical date, its texts as they are, its note as long as Airflow holds."""
    made, sent = _start(monkeypatch, OKResponse(ok=True))
    assert made
    assert (sent.dag_id, sent.run_id) == ("retrain", "a--2026-03-14--retrain")
    assert (sent.conf, sent.logical_date, len(sent.note)) == ({"note": "{{ 1 }}"}, None, 1000)


def test_a_run_that_exists_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: the key is the name."""
    answer = ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
    assert _start(monkeypatch, answer)[0] is False


def test_any_other_refusal_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown is not taken for an existing run."""
    with pytest.raises(AirflowException, match="was not started"):
        _start(monkeypatch, ErrorResponse(error=ErrorType.API_SERVER_ERROR))
