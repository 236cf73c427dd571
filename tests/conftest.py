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
    """Files with real servers first: the longest are not left to one worker at the end."""
    long = {item.path for item in items if item.get_closest_marker("stack")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDeployment:
    """A fleet of one model with its first champion."""
    monkeypatch.setenv("UPKEEP_LOGS", str(tmp_path / "logs"))
    return deployment_with_champion(tmp_path, MODEL)
