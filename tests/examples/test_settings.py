"""What the example's servers are told."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest

from examples.settings import environment, known_ports, settings, with_free_ports
from examples.stack import exports

SECRETS = ("password", "fernet_key", "secret_key", "jwt_secret")


def test_ports_and_secrets_are_made_once(tmp_path: Path) -> None:
    """The second start has the same URLs and the same login."""
    assert settings(tmp_path) == settings(tmp_path)
    assert environment(tmp_path) == environment(tmp_path)


def test_two_installations_share_no_secret(tmp_path: Path) -> None:
    """Nothing is a default."""
    first, second = settings(tmp_path / "a"), settings(tmp_path / "b")
    assert all(first[name] != second[name] for name in SECRETS)
    assert all(len(first[name]) >= 16 for name in SECRETS)


@pytest.mark.parametrize("name", ["settings.json", "airflow/passwords.json"])
def test_secrets_are_the_user_s_own(tmp_path: Path, name: str) -> None:
    """No other user of the machine reads them."""
    settings(tmp_path)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_the_login_is_the_one_that_is_printed(tmp_path: Path) -> None:
    """Airflow reads the password from the file that we wrote."""
    known = settings(tmp_path)
    path = Path(environment(tmp_path)["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert json.loads(path.read_text()) == {"admin": known["password"]}


def test_everything_listens_on_this_machine_only(tmp_path: Path) -> None:
    """No address but 127.0.0.1 in anything that the servers are told."""
    env = environment(tmp_path)
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    addresses = [value for value in env.values() if value.startswith("http")]
    ours = [a for a in addresses if str(settings(tmp_path)["ports"]["airflow"]) in a]
    assert all(address.startswith("http://127.0.0.1:") for address in ours)
    assert env["MLFLOW_TRACKING_URI"].startswith("http://127.0.0.1:")


def test_all_state_lies_in_one_folder(tmp_path: Path) -> None:
    """`make clean` forgets everything."""
    env = environment(tmp_path)
    places = ("UPKEEP_STORE", "UPKEEP_LOGS", "UPKEEP_JOBS", "UPKEEP_CACHE", "AIRFLOW_HOME")
    assert all(Path(env[name]).is_relative_to(tmp_path) for name in places)
    assert str(tmp_path) in env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]


def test_telemetry_and_pickle_are_off(tmp_path: Path) -> None:
    """DESIGN section 7."""
    env = environment(tmp_path)
    assert env["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert env["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert env["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_bytecode_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it every process pays its imports twice."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in environment(tmp_path)


def test_a_port_that_somebody_took_is_replaced_and_remembered(tmp_path: Path) -> None:
    """The other one stays."""
    before = settings(tmp_path)["ports"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", before["mlflow"]))
        other.listen()
        with_free_ports(tmp_path, ["airflow", "mlflow"])
    after = settings(tmp_path)["ports"]
    assert after["airflow"] == before["airflow"]
    assert after["mlflow"] != before["mlflow"]


def test_nothing_is_made_by_asking_for_ports(tmp_path: Path) -> None:
    """`make down` of nothing writes nothing."""
    assert known_ports(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_shell_is_told_holds_no_secret(tmp_path: Path) -> None:
    """``examples.stack env`` points the command line at the state, and at nothing else."""
    known = settings(tmp_path)
    printed = exports(environment(tmp_path))
    assert f"export UPKEEP_STORE={tmp_path.resolve() / 'store'}" in printed.splitlines()
    assert "export MLFLOW_TRACKING_URI=" in printed
    assert not any(known[name] in printed for name in SECRETS)
