"""Airflow's own connections are where credentials come from."""

from __future__ import annotations

import pytest

from upkeep.errors import ConfigError
from upkeep_airflow.connections import from_airflow


def test_a_connection_of_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Login, password, host and extra; nothing secret shows in a repr."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_METRICS", "http://reader:s3cret@prometheus.example:9090/?token=t0ken"
    )
    found = from_airflow("metrics")
    assert (found.login, found.password, found.host) == ("reader", "s3cret", "prometheus.example")
    assert found.extra == {"token": "t0ken"}
    assert "s3cret" not in repr(found)
    assert "t0ken" not in repr(found)


def test_a_connection_that_is_not_there_is_named() -> None:
    """The message says where to add it."""
    with pytest.raises(ConfigError, match="'nowhere': Airflow has no such connection; add it in"):
        from_airflow("nowhere")
