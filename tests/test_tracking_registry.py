"""A version is made once, of files that were looked at; an alias is moved and looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fakes.mlflow_server import free_port, shared_server

from upkeep import faults, tracking_client
from upkeep.errors import ArtifactError, TrackingError
from upkeep.records import Folder
from upkeep.store_files import scan_folder
from upkeep.tracking_client import Mlflow
from upkeep.tracking_registry import Registry

pytestmark = pytest.mark.stack

TAGS = {"upkeep.gate": "passed", "upkeep.parent_version": "1"}


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.fixture
def registry() -> Registry:
    """The registry of the shared server."""
    return Registry(shared_server().uri)


@pytest.fixture
def model() -> str:
    """A model that no other test has."""
    return f"m-{uuid4().hex[:12]}"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Folder]:
    """A folder of two files, one of them in a folder of its own, and its record."""
    path = tmp_path / "model"
    (path / "onnx").mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "onnx" / "model.bin").write_bytes(bytes(range(256)) * 40)
    return path, Folder(prefix="m/versions/first", files=scan_folder(path))


def versions(registry: Registry, model: str) -> list[Any]:
    """All versions of a model, as MLflow's own client finds them."""
    client = tracking_client._client(registry.uri)
    return list(client.search_model_versions(f"name = '{model}'"))


def test_a_version_carries_its_files_tags_and_key(
    registry: Registry, model: str, files: tuple[Path, Folder]
) -> None:
    """The files lie under the source run on the server, and the tags name their hash."""
    path, folder = files
    key = f"{model}/2026-03-17/retrain"
    number = registry.register(model, path, folder, TAGS, key)
    assert number == "1"
    tags = registry.version_tags(model, number)
    own = {"upkeep.key": key, "upkeep.files_sha256": folder.files_sha256}
    assert tags == {**TAGS, **own}
    (version,) = versions(registry, model)
    place = shared_server().folder / "artifacts" / version.source.split("mlflow-artifacts:/")[1]
    assert scan_folder(place) == folder.files


def test_registering_twice_gives_the_same_version(
    registry: Registry, model: str, files: tuple[Path, Folder]
) -> None:
    """The same key is the same version; another key is another one."""
    path, folder = files
    numbers = [
        registry.register(model, path, folder, TAGS, key)
        for key in (f"{model}/first", f"{model}/first", f"{model}/2026-03-17/retrain")
    ]
    assert numbers == ["1", "1", "2"]


@pytest.mark.parametrize("point", ["tracking.version.uploaded", "tracking.version.created"])
def test_killed_while_registering_the_next_try_makes_one_version(
    registry: Registry,
    model: str,
    files: tuple[Path, Folder],
    point: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither half an upload nor a version that nobody heard of makes a second version."""

    def die(reached: str) -> None:
        if reached == point:
            raise Killed(point)

    monkeypatch.setattr(faults, "point", die)
    with pytest.raises(Killed):
        registry.register(model, *files, TAGS, f"{model}/first")
    monkeypatch.undo()
    assert registry.register(model, *files, TAGS, f"{model}/first") == "1"
    assert len(versions(registry, model)) == 1


def test_a_lost_answer_makes_no_second_version(
    registry: Registry, model: str, files: tuple[Path, Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A POST that MLflow's client repeats makes two versions: the lower one stays."""
    real = Mlflow.call

    def twice(self: Mlflow, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "create_model_version":
            real(self, method, *args, **kwargs)
        return real(self, method, *args, **kwargs)

    monkeypatch.setattr(Mlflow, "call", twice)
    assert registry.register(model, *files, TAGS, f"{model}/first") == "1"
    assert [version.version for version in versions(registry, model)] == ["1"]


def test_files_that_were_changed_make_no_version(
    registry: Registry, model: str, files: tuple[Path, Folder]
) -> None:
    """One byte other than recorded: refused before anything is uploaded."""
    path, folder = files
    (path / "config.json").write_text("[]")
    with pytest.raises(ArtifactError, match="recorded SHA-256"):
        registry.register(model, path, folder, TAGS, f"{model}/first")
    assert versions(registry, model) == []


def test_files_that_arrive_changed_make_no_version(
    registry: Registry, model: str, files: tuple[Path, Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies on the server is read back and hashed before a version is made of it."""
    path, folder = files
    real = Mlflow.call

    def call(self: Mlflow, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "log_artifacts":
            (path / "config.json").write_text("[]")
        return real(self, method, *args, **kwargs)

    monkeypatch.setattr(Mlflow, "call", call)
    with pytest.raises(ArtifactError, match="recorded SHA-256"):
        registry.register(model, path, folder, TAGS, f"{model}/first")
    assert versions(registry, model) == []


def test_an_alias_is_none_until_it_is_set_and_moves(
    registry: Registry, model: str, files: tuple[Path, Folder]
) -> None:
    """No model, no alias, then the alias: None, None, version."""
    assert registry.get_alias(model, "champion") is None
    for key in ("first", "second"):
        registry.register(model, *files, TAGS, f"{model}/{key}")
    assert registry.get_alias(model, "champion") is None
    for version in ("1", "2", "1"):
        registry.set_alias(model, "champion", version)
        assert registry.get_alias(model, "champion") == version


def test_an_alias_of_no_version_is_refused(registry: Registry, model: str) -> None:
    """There is no half-set alias."""
    with pytest.raises(TrackingError, match="refused set_registered_model_alias"):
        registry.set_alias(model, "champion", "7")
    assert registry.get_alias(model, "champion") is None


def test_an_alias_that_somebody_else_moved_is_noticed(
    registry: Registry, model: str, files: tuple[Path, Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set to 2 and found at 1: an error, not a belief."""
    for key in ("first", "second"):
        registry.register(model, *files, TAGS, f"{model}/{key}")
    client = tracking_client._client(registry.uri)

    def somebody(point: str) -> None:
        client.set_registered_model_alias(model, "champion", "1")

    monkeypatch.setattr(faults, "point", somebody)
    with pytest.raises(TrackingError, match="was set to 2 and is 1"):
        registry.set_alias(model, "champion", "2")


def test_a_version_that_is_not_there_has_no_tags(registry: Registry, model: str) -> None:
    """Deleted or never made: None, so that the ledger can tell."""
    assert registry.version_tags(model, "3") is None


def test_a_key_that_could_break_out_of_a_search_is_refused(
    registry: Registry, model: str, files: tuple[Path, Folder]
) -> None:
    """Quotes never reach MLflow's filter."""
    with pytest.raises(TrackingError, match="1 to 250 characters"):
        registry.register(model, *files, TAGS, "x' or name != 'y")


def test_a_registry_that_is_down_is_a_tracking_error(model: str) -> None:
    """Unknown is not None: a server that cannot be asked is not a missing alias."""
    with pytest.raises(TrackingError, match="MLflow at http"):
        Registry(f"http://127.0.0.1:{free_port()}").get_alias(model, "champion")
