"""Fixtures of the cycle's tests, and what holds for all of hypothesis' tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.deployment import FakeDeployment, deployment_with_champion
from fakes.played_days import MODEL
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


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDeployment:
    """A fleet of one model with its first champion."""
    monkeypatch.setenv("UPKEEP_LOGS", str(tmp_path / "logs"))
    return deployment_with_champion(tmp_path, MODEL)
