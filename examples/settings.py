"""What the example's servers are told: ports, secrets and every environment variable.

Ports and secrets are made once and kept in files of the state folder that only its user can
read.
"""

from __future__ import annotations

import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from examples.processes import free_port

REPOSITORY = Path(__file__).resolve().parents[1]
USER = "admin"


def environment(state: Path) -> dict[str, str]:
    """Everything that Airflow, MLflow and Upkeep are told, over this process's environment."""
    state = state.resolve()
    known = settings(state)
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return (
        inherited
        | _upkeep(state, known["ports"]["mlflow"])
        | _mlflow()
        | _airflow(state, known, known["ports"]["airflow"])
    )


def _upkeep(state: Path, mlflow_port: int) -> dict[str, str]:
    return {
        "UPKEEP_STORE": str(state / "store"),
        "UPKEEP_FLEET": str(fleet_of(state)),
        "UPKEEP_TOOLS": str(state / "tools"),
        "UPKEEP_LOGS": str(state / "logs"),
        "UPKEEP_JOBS": str(state / "jobs"),
        "UPKEEP_CACHE": str(state / "cache"),
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow_port}",
        "PYTHONPATH": _python_path(),
        "UPKEEP_PRELOAD": "upkeep.cycle,great_expectations,mlflow",
        "GX_ANALYTICS_ENABLED": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }


def own_fleet(state: Path) -> Path:
    """Where a run with more models than the story's keeps its fleet."""
    return state.resolve() / "fleet"


def fleet_of(state: Path) -> Path:
    """The state's own fleet if it has one, else the repository's."""
    own = own_fleet(state)
    return own if own.is_dir() else REPOSITORY / "include" / "fleet"


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH", "")
    ours = [str(REPOSITORY / folder) for folder in ("include", "plugins")]
    return os.pathsep.join(
        [*ours, *(p for p in inherited.split(os.pathsep) if p not in ("", *ours))]
    )


def _mlflow() -> dict[str, str]:
    return {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def _airflow(state: Path, known: dict[str, Any], port: int) -> dict[str, str]:
    home = state / "airflow"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__FERNET_KEY": known["fernet_key"],
        "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES": "upkeep.records.*",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _database(home),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": known["secret_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": known["jwt_secret"],
        # On a busy machine the task API takes longer than Airflow's 5 s to answer.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # A supervisor that has missed its task's end looks again after this many seconds.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SCARF_ANALYTICS": "false",
    }


def _database(home: Path) -> str:
    """SQLite, or what ``UPKEEP_AIRFLOW_DATABASE`` names."""
    return os.environ.get("UPKEEP_AIRFLOW_DATABASE") or f"sqlite:///{home / 'airflow.db'}"


def settings(state: Path) -> dict[str, Any]:
    """Ports and secrets: made once, kept in files that only this user can read."""
    path = state / "settings.json"
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text())
        return known
    (state / "airflow").mkdir(parents=True, exist_ok=True)
    (state / "logs").mkdir(exist_ok=True)
    made = {
        "ports": {"airflow": free_port(), "mlflow": free_port()},
        "password": secrets.token_urlsafe(12),
        "fernet_key": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "secret_key": secrets.token_hex(32),
        "jwt_secret": secrets.token_hex(32),
    }
    _write_private(path, made)
    _write_private(state / "airflow" / "passwords.json", {USER: made["password"]})
    return made


def with_free_ports(state: Path, names: Iterable[str]) -> None:
    """Choose another port for each of these servers that finds its own one taken."""
    known = settings(state)
    for name in names:
        known["ports"][name] = free_port(known["ports"][name])
    _write_private(state / "settings.json", known)


def known_ports(state: Path) -> list[int]:
    """The ports that were chosen, none where nothing was."""
    path = state / "settings.json"
    return list(json.loads(path.read_text())["ports"].values()) if path.exists() else []


def _write_private(path: Path, value: object) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as out:
        json.dump(value, out)
