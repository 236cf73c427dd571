"""MLflow and Airflow on this machine, for the example: start, adopt, stop.

    python -m examples.stack up | down | status | env

Everything lies in one folder (``.upkeep``); every server listens on 127.0.0.1 only, on ports
that are chosen once and remembered. Airflow runs as in production but for its size: its own
scheduler, DAG processor, triggerer and API server, LocalExecutor, SQLite.
"""

from __future__ import annotations

import fcntl
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.airflow_client import AirflowClient
from examples.processes import Processes, StackError, port_is_free
from examples.settings import USER, environment, known_ports, settings, with_free_ports

__all__ = ["Places", "Stack", "StackError", "environment"]

STATE = Path(".upkeep")
DAGS = frozenset({"daily_cycle", "compress", "retrain", "rollback", "replay", "rate_outputs"})
START_CEILING_S = 240.0
POLL_S = 0.2
SERVERS = ("mlflow", "api-server", "scheduler", "dag-processor", "triggerer")

Progress = Callable[[str], object]


@dataclass(frozen=True)
class Places:
    """Where a person looks."""

    airflow: str
    mlflow: str
    user: str
    password: str


class Stack:
    """The servers of one state folder."""

    def __init__(self, state: Path = STATE) -> None:
        """Nothing is started, and nothing is written, yet."""
        self.state = state.resolve()
        self._processes = Processes(self.state)

    def start(self, progress: Progress = print) -> Places:
        """Start what does not run, adopt what does, and wait until all of it works.

        Raises:
            StackError: a server ended or did not answer in time; with the end of its log.

        """
        with _locked(self.state):
            if not self.is_up():
                self._start_all(progress)
            self._wait_for_dags(progress)
        return self.places()

    def stop(self) -> None:
        """End exactly the servers that were started from this folder."""
        with _locked(self.state):
            self._processes.stop()
            ports = known_ports(self.state)
            deadline = time.monotonic() + START_CEILING_S
            while not all(port_is_free(port) for port in ports):
                if time.monotonic() > deadline:
                    raise StackError("the servers ended, but somebody listens on their ports")
                time.sleep(POLL_S)

    def is_up(self) -> bool:
        """Whether every server runs."""
        return all(self._processes.alive(name) for name in SERVERS)

    def places(self) -> Places:
        """The URLs and the login."""
        known = settings(self.state)
        port = known["ports"]
        return Places(
            airflow=f"http://127.0.0.1:{port['airflow']}",
            mlflow=f"http://127.0.0.1:{port['mlflow']}",
            user=USER,
            password=known["password"],
        )

    def say_where(self) -> None:
        """Print where to look."""
        where = self.places()
        print(f"Airflow  {where.airflow}  user {where.user}  password {where.password}")
        print(f"MLflow   {where.mlflow}")
        print(f"Logs     {self.state / 'logs'}")

    def trigger(self, dag_id: str, conf: dict[str, Any], run_id: str) -> bool:
        """Start a run of a DAG; False where it exists and is adopted."""
        return self.client().trigger(dag_id, conf, run_id)

    def wait(self, dag_id: str, run_id: str, timeout_s: float) -> None:
        """Wait until a run has ended well.

        Raises:
            StackError: it failed, with its tasks' last words; or it did not end in time.

        """
        client = self.client()
        try:
            state = client.wait(dag_id, run_id, timeout_s)
        except StackError as error:
            raise StackError(f"{error}{self._obituary()}") from error
        if state != "success":
            failures = client.failures(dag_id, run_id)
            raise StackError(f"{dag_id} {run_id} {state}:\n{failures}")

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's schedule and its runs go."""
        self.client().pause(dag_id, paused=False)

    def client(self) -> AirflowClient:
        """Airflow's REST API, as the example's user."""
        where = self.places()
        return AirflowClient(where.airflow, where.user, where.password)

    # ------------------------------------------------------------------ how it starts

    def _start_all(self, progress: Progress) -> None:
        down = {"airflow": "api-server", "mlflow": "mlflow"}
        with_free_ports(
            self.state, [port for port, name in down.items() if not self._processes.alive(name)]
        )
        env = environment(self.state)
        self._start("mlflow", _mlflow_command(self.state), env)
        marker = self.state / "airflow" / "migrated"
        if not marker.exists():
            progress("Airflow's database")
            self._migrate(env)
            marker.touch()
        for name in SERVERS[1:]:
            skip = ["--skip-serve-logs"] if name in ("scheduler", "triggerer") else []
            self._start(name, [sys.executable, "-m", "airflow", name, *skip], env)
        progress("MLflow's server, Airflow's API server, scheduler, DAG processor, triggerer")
        where, client = self.places(), self.client()
        self._wait("MLflow", AirflowClient(where.mlflow, "", "").answers, "/health")
        self._wait("Airflow's API server", client.answers, "/api/v2/version")
        # The API that tasks use is built at its first call, which takes seconds.
        self._wait("Airflow's task API", client.answers, "/execution/health")
        self._wait("Airflow's components", lambda: set(client.health().values()) == {"healthy"})

    def _start(self, name: str, command: list[str], env: dict[str, str]) -> None:
        self._processes.start(name, command, env, cwd=self.state)

    def _migrate(self, env: dict[str, str]) -> None:
        log = self._processes.log("migrate")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", "db", "migrate"],
                env=env,
                cwd=self.state,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise StackError(f"airflow db migrate failed:\n{self._processes.tail('migrate')}")

    def _wait(self, what: str, ready: Callable[..., bool], *args: str) -> None:
        deadline = time.monotonic() + START_CEILING_S
        while not ready(*args):
            if self._processes.dead() or time.monotonic() > deadline:
                raise StackError(f"{what}: not ready{self._obituary() or ' in time'}")
            time.sleep(POLL_S)

    def _wait_for_dags(self, progress: Progress) -> None:
        client = self.client()
        self._wait("DAGs", lambda: client.dags() >= DAGS or bool(client.import_errors()))
        if errors := client.import_errors():
            raise StackError("DAGs that cannot be parsed:\n" + "\n".join(errors))
        progress(f"{len(DAGS)} DAGs parsed")
        let_go = self.state / "airflow" / "unpaused"
        if not let_go.exists():  # once: what a person pauses later stays paused
            for dag_id in sorted(DAGS):
                client.pause(dag_id, paused=False)
            let_go.touch()

    def _obituary(self) -> str:
        dead = self._processes.dead()
        return "".join(
            f"\n{name} has ended; the end of its log:\n{self._processes.tail(name)}"
            for name in dead
        )


def _mlflow_command(state: Path) -> list[str]:
    port = settings(state)["ports"]["mlflow"]
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{state / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", str(state / "mlartifacts")),
        *("--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"),
    ]


def exports(known: dict[str, str]) -> str:
    """What the command line of Upkeep needs, for a shell to read; no secret is among it."""
    names = [n for n in sorted(known) if n.startswith("UPKEEP_") or n == "MLFLOW_TRACKING_URI"]
    return "\n".join(f"export {name}={shlex.quote(known[name])}" for name in names)


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """One starting or stopping program at a time."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(argv: list[str]) -> int:
    """``up``, ``down``, ``status`` or ``env``; the exit status is 0 if it is done or all is up."""
    stack, word = Stack(), (argv or [""])[0]
    try:
        if word == "up":
            stack.start()
            stack.say_where()
        elif word == "down":
            stack.stop()
        elif word == "status":
            print("up" if stack.is_up() else "not up")
            return 0 if stack.is_up() else 1
        elif word == "env":
            print(exports(environment(stack.state)))
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
