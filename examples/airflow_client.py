"""The few calls of Airflow's REST API that the example needs."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from examples.processes import StackError

POLL_S = 0.3
CALL_TIMEOUT_S = 60.0
ENDED = ("success", "failed")


class AirflowClient:
    """Talks to one API server as one user; asks for a new token when the old one has ended."""

    def __init__(self, base: str, user: str, password: str) -> None:
        """Nothing is sent yet. ``base`` is the API server's URL without a slash at its end."""
        self._base, self._login = base, {"username": user, "password": password}
        self._token = ""

    def answers(self, path: str = "/api/v2/version") -> bool:
        """Whether the API server answers at all."""
        try:
            with urllib.request.urlopen(self._base + path, timeout=CALL_TIMEOUT_S):  # noqa: S310
                return True
        except OSError:
            return False

    def health(self) -> dict[str, str | None]:
        """The status of each of Airflow's components."""
        found = self.call("GET", "/api/v2/monitor/health", token=False)
        return {name: part.get("status") for name, part in found.items()}

    def dags(self) -> set[str]:
        """The DAGs that are parsed."""
        found = self.call("GET", "/api/v2/dags?limit=100")
        return {dag["dag_id"] for dag in found["dags"]}

    def import_errors(self) -> list[str]:
        """What could not be parsed."""
        found = self.call("GET", "/api/v2/importErrors")
        return [f"{e['filename']}: {e['stack_trace'][-1500:]}" for e in found["import_errors"]]

    def pause(self, dag_id: str, *, paused: bool) -> None:
        """Pause a DAG, or let it run."""
        self.call("PATCH", f"/api/v2/dags/{quote(dag_id)}", {"is_paused": paused})

    def trigger(self, dag_id: str, conf: dict[str, Any], run_id: str) -> bool:
        """Start a run; False where one of that name exists."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        try:
            self.call("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", body)
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A run as the API shows it; empty where there is none."""
        try:
            found: dict[str, Any] = self.call("GET", _run_path(dag_id, run_id))
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return {}
            raise
        return found

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The latest runs of a DAG, at most 100, the newest first."""
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns?limit=100&order_by=-run_after"
        found: list[dict[str, Any]] = self.call("GET", path)["dag_runs"]
        return found

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run, all pages."""
        tasks: list[dict[str, Any]] = []
        while True:
            path = f"{_run_path(dag_id, run_id)}/taskInstances?limit=100&offset={len(tasks)}"
            found = self.call("GET", path)
            tasks += found["task_instances"]
            if not found["task_instances"] or len(tasks) >= found["total_entries"]:
                return tasks

    def wait(self, dag_id: str, run_id: str, timeout_s: float) -> str:
        """Wait until a run has ended; its state, ``success`` or ``failed``.

        Raises:
            StackError: it has not ended in time.

        """
        deadline = time.monotonic() + timeout_s
        while (state := self.run(dag_id, run_id).get("state", "not there")) not in ENDED:
            if time.monotonic() > deadline:
                raise StackError(f"{dag_id} {run_id}: {state} after {timeout_s:.0f} s")
            time.sleep(POLL_S)
        return str(state)

    def failures(self, dag_id: str, run_id: str) -> str:
        """What failed in a run, with the end of each log."""
        failed = [t for t in self.tasks(dag_id, run_id) if t["state"] == "failed"]
        return "\n".join(
            f"{t['task_id']} [{t['rendered_map_index'] or t['map_index']}]: {self._why(t)}"
            for t in failed
        )

    def call(self, method: str, path: str, body: Any = None, *, token: bool = True) -> Any:
        """One call; its JSON. HTTPError where the server refuses."""
        if token and not self._token:
            made = self.call("POST", "/auth/token", self._login, token=False)
            self._token = made["access_token"]
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - http to 127.0.0.1
            self._base + path, data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.UNAUTHORIZED and token:
                self._token = ""
                return self.call(method, path, body)
            raise

    def _why(self, task: dict[str, Any]) -> str:
        path = (
            f"{_run_path(task['dag_id'], task['dag_run_id'])}/taskInstances/{task['task_id']}"
            f"/logs/{task['try_number']}?map_index={task['map_index']}&full_content=true"
        )
        content = self.call("GET", path)["content"]
        errors = [line for line in content if line.get("level") in ("error", "critical")]
        details = [d["exc_value"] for line in errors for d in line.get("error_detail") or ()]
        return str((details or [line.get("event", "") for line in errors] or ["no log"])[-1])


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
