"""Fixtures of the cycle's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.deployment import FakeDeployment, deployment_with_champion
from fakes.played_days import MODEL


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDeployment:
    """A fleet of one model with its first champion."""
    monkeypatch.setenv("UPKEEP_LOGS", str(tmp_path / "logs"))
    return deployment_with_champion(tmp_path, MODEL)
