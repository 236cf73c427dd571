"""The example's servers: what goes wrong at a start is said; up, adopted, down for real."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from examples import stack as module
from examples.processes import port_is_free
from examples.settings import known_ports
from examples.stack import SERVERS, Stack, StackError

CRASH = [sys.executable, "-c", "print('no such table: dag'); raise SystemExit(3)"]


def test_nothing_runs_at_first(tmp_path: Path) -> None:
    """A new folder is down, and down again after a stop."""
    made = Stack(tmp_path)
    assert not made.is_up()
    made.stop()
    assert not made.is_up()


def test_a_server_that_crashes_at_the_start_is_reported_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which one, and the end of its log; nothing waits for the ceiling."""
    made = Stack(tmp_path)
    monkeypatch.setattr(made, "_migrate", lambda env: None)
    monkeypatch.setattr(module, "_mlflow_command", lambda state: CRASH)
    start = made._start

    def only_crash(name: str, command: list[str], env: dict[str, str]) -> None:
        if name == "mlflow":
            start(name, command, env)

    monkeypatch.setattr(made, "_start", only_crash)
    with pytest.raises(StackError, match=r"mlflow has ended(.|\n)*no such table: dag"):
        made.start(lambda words: None)
    made.stop()


def test_a_migration_that_fails_is_reported_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of its log is in the message."""
    made = Stack(tmp_path)
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    with pytest.raises(StackError, match="airflow db migrate failed"):
        made._migrate({})


@pytest.mark.parametrize("argv", [[], ["sideways"]])
def test_an_unknown_word_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the words that there are, and exit status 2."""
    assert module.main(argv) == 2
    assert "up | down | status" in capsys.readouterr().err


@pytest.mark.stack
def test_up_adopted_and_down(tmp_path: Path) -> None:
    """Two starts are one set of servers on 127.0.0.1; a stop leaves no process and no port."""
    first, second = Stack(tmp_path), Stack(tmp_path)
    try:
        where = first.start(lambda words: None)
        started = _processes(first)
        pids = {p.pid for p in started}
        assert second.start(lambda words: None) == where
        assert {p.pid for p in _processes(second)} == pids
        assert len(pids) == len(SERVERS)
        listening = [
            c.laddr.ip
            for leader in _processes(first)
            for process in (leader, *leader.children(recursive=True))
            for c in process.net_connections()
            if c.status == psutil.CONN_LISTEN
        ]
        assert set(listening) == {"127.0.0.1"}
    finally:
        second.stop()
    assert not first.is_up()
    assert all(port_is_free(port) for port in known_ports(tmp_path))
    assert not any(process.is_running() for process in started)


def _processes(stack: Stack) -> list[psutil.Process]:
    return [psutil.Process(known.pid) for known in stack._processes._read().values()]
