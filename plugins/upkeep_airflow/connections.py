"""Airflow's connections as credentials: its variables, its database, its secrets backend."""

from __future__ import annotations

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowException

from upkeep.credentials import Secret
from upkeep.errors import ConfigError


def from_airflow(name: str) -> Secret:
    """The connection of a name.

    Raises:
        ConfigError: Airflow has none.

    """
    try:
        found = Connection.get(name)
    except AirflowException as error:
        rule, fix = "Airflow has no such connection", "add it in Airflow: Admin > Connections"
        raise ConfigError("connection", name, rule, fix) from error
    return Secret(
        login=found.login or "",
        password=found.password or "",
        host=found.host or "",
        extra=found.extra_dejson,
    )
