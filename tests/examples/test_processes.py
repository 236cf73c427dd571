"""Server processes: found again, ended exactly, never confused with somebody else's."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from examples import processes
from examples.processes import Processes, free_port, port_is_free

SLEEPER = [sys.executable, "-c", "print('here', flush=True); import time; time.sleep(600)"]
STUBBORN_CODE = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import os, time; os.setpgid(0, 0); print(os.getpid(), flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", code])
time.sleep(600)
"""
STUBBORN = [sys.executable, "-c", STUBBORN_CODE]
CEILING_S = 30.0


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Processes]:
    """An empty state folder; whatever a test leaves there is ended."""
    made = Processes(tmp_path)
    yield made
    made.stop()


def _until(ready: Callable[[], object]) -> object:
    deadline = time.monotonic() + CEILING_S
    while not (found := ready()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def _gone(pid: int) -> bool:
    """Whether the process has ended, collected by its parent or not."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _start(servers: Processes, tmp_path: Path, command: list[str] = SLEEPER) -> int:
    servers.start("one", command, os.environ, tmp_path)
    return int(json.loads((tmp_path / "processes.json").read_text())["one"]["pid"])


def test_a_server_is_found_again_by_another_program(servers: Processes, tmp_path: Path) -> None:
    """The state file is enough; starting again starts nothing."""
    pid = _start(servers, tmp_path)
    again = Processes(tmp_path)
    assert again.alive("one")
    again.start("one", SLEEPER, os.environ, tmp_path)
    assert json.loads((tmp_path / "processes.json").read_text())["one"]["pid"] == pid


def test_its_words_go_to_its_log(servers: Processes, tmp_path: Path) -> None:
    """state/logs/NAME.log, and the end of it is at hand."""
    _start(servers, tmp_path)
    _until(lambda: "here" in servers.tail("one"))
    assert servers.log("one") == tmp_path / "logs" / "one.log"


def test_a_dead_server_is_named(servers: Processes, tmp_path: Path) -> None:
    """A crash is seen, and the server can be started anew."""
    pid = _start(servers, tmp_path)
    psutil.Process(pid).kill()
    _until(lambda: servers.dead() == ["one"])
    assert not servers.alive("one")
    assert _start(servers, tmp_path) != pid


def test_stopping_ends_what_a_server_started_and_what_ignores_it(
    servers: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child in another process group, and a server that ignores SIGTERM, end as well."""
    pid = _start(servers, tmp_path, STUBBORN)
    child = int(str(_until(lambda: servers.log("one").read_text().strip())))
    monkeypatch.setattr(processes, "TERMINATE_S", 0.2)
    servers.stop()
    assert _gone(child)
    assert _gone(pid)
    assert not (tmp_path / "processes.json").exists()


def test_a_child_of_a_dead_server_is_ended(servers: Processes, tmp_path: Path) -> None:
    """A kill -9 of the server leaves no orphan behind a stop."""
    pid = _start(servers, tmp_path, STUBBORN)
    child = int(str(_until(lambda: servers.log("one").read_text().strip())))
    psutil.Process(pid).kill()
    _until(lambda: servers.dead() == ["one"])
    servers.stop()
    assert _gone(child)


def test_a_number_that_was_given_to_somebody_else_is_left_alone(
    servers: Processes, tmp_path: Path
) -> None:
    """The time of creation must fit as well: stop ends exactly what was started here."""
    stranger = subprocess.Popen(SLEEPER, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        created = psutil.Process(stranger.pid).create_time()
        known = {"one": {"pid": stranger.pid, "created_at": created - 100.0}}
        (tmp_path / "processes.json").write_text(json.dumps(known))
        assert not servers.alive("one")
        servers.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_wanted_port_is_kept_while_it_is_free() -> None:
    """Ports are remembered; one that somebody took is replaced."""
    port = free_port()
    assert free_port(port) == port
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not port_is_free(port)
        assert free_port(port) != port


def test_stopping_nothing_is_nothing(tmp_path: Path) -> None:
    """Twice down is down."""
    with suppress(FileNotFoundError):
        Processes(tmp_path).stop()
    assert list(tmp_path.iterdir()) == []
