"""What is prepared once before the services start."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import boto3
import pytest
from moto import mock_aws

PROGRAM = Path(__file__).parents[2] / "deploy" / "prepare.py"


@pytest.fixture
def prepare() -> ModuleType:
    """The program as a module; it lies in no package."""
    spec = spec_from_file_location("prepare", PROGRAM)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@mock_aws
def test_buckets_are_made_once(prepare: ModuleType) -> None:
    """The second time finds them and makes none."""
    client = boto3.client("s3", region_name="us-east-1")
    addresses = ["s3://upkeep/records", "s3://mlflow", "s3://upkeep"]
    assert prepare.make_buckets(addresses, client) == ["mlflow", "upkeep"]
    assert prepare.make_buckets(addresses, client) == []


@pytest.mark.parametrize("address", ["", "/store", "s3://", "http://upkeep"])
def test_an_address_without_a_bucket_is_refused(prepare: ModuleType, address: str) -> None:
    """Before anything is asked of a server."""
    with pytest.raises(SystemExit, match="is no s3"):
        prepare.bucket_of(address)


def test_the_password_file_is_of_its_owner_only(prepare: ModuleType, tmp_path: Path) -> None:
    """Written whole and replaced whole; the password is the latest one."""
    path = tmp_path / "passwords.json"
    for password in ("first", "second"):
        prepare.write_password(path, password)
        assert json.loads(path.read_text()) == {"admin": password}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@mock_aws
def test_the_whole_is_prepared_and_the_migration_decides(
    prepare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that fails stops the services that wait for it."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    environ = {
        "UPKEEP_S3_ENDPOINT": "https://s3.us-east-1.amazonaws.com",
        "UPKEEP_STORE": "s3://upkeep/records",
        "MLFLOW_ARTIFACTS": "s3://mlflow",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(tmp_path / "passwords.json"),
        "AIRFLOW_ADMIN_PASSWORD": "made-up",
    }
    for command, code in (("true", 0), ("false", 1)):
        monkeypatch.setattr(prepare, "MIGRATE", (command,))
        assert prepare.main(environ) == code
    assert json.loads((tmp_path / "passwords.json").read_text()) == {"admin": "made-up"}
    names = {b["Name"] for b in boto3.client("s3").list_buckets()["Buckets"]}
    assert names == {"upkeep", "mlflow"}
