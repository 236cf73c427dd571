"""The store, on a folder and on S3: written once, never half, never changed unseen."""

from __future__ import annotations

import base64
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fakes.seaweedfs import use_s3
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.errors import (
    ArtifactError,
    ConflictingRecord,
    CorruptRecord,
    ParamError,
    StoreError,
    UpkeepError,
)
from upkeep.records import Approval, Folder, JobRequest, Override, Record
from upkeep.sealed import seal, sealed_digest, unseal
from upkeep.store import Store, adopt_or_put, get_record, open_store, put_record, record_key
from upkeep.store_local import LocalStore
from upkeep.store_s3 import S3Store

A, B = Approval(approved=True, by="ada"), Approval(approved=False, by="bob")
BUCKET = "upkeep-test"


@pytest.fixture
def s3_environment(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The variables of a deployment on moto's server, with made-up credentials."""
    use_s3(monkeypatch, moto_endpoint, BUCKET)
    return moto_endpoint


@pytest.fixture(params=["folder", "moto", pytest.param("weed", marks=pytest.mark.stack)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Each kind of store, empty; on S3, moto's server and a real SeaweedFS."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    use_s3(monkeypatch, request.getfixturevalue(f"{request.param}_endpoint"), BUCKET)
    opened = open_store(f"s3://{BUCKET}/{uuid4().hex}")
    assert isinstance(opened, S3Store)
    return opened


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    """A store on a folder."""
    return LocalStore(tmp_path / "store")


# ---------------------------------------------------------------- keys and bytes


def test_what_was_put_is_read_and_what_was_not_is_none(store: Store) -> None:
    """Bytes come back as they were; an absent key is None, and so is a folder of keys."""
    assert store.get("m/a.json") is None
    assert store.put_if_absent("m/a.json", b"\x00one")
    assert store.get("m/a.json") == b"\x00one"
    assert store.get("m") is None
    assert store.get("m/a.json/b") is None


def test_the_first_writer_wins_and_the_content_stays(store: Store) -> None:
    """put_if_absent never changes what lies there."""
    assert store.put_if_absent("k", b"first")
    assert not store.put_if_absent("k", b"second")
    assert store.get("k") == b"first"


def test_of_eight_writers_at_once_one_wins(store: Store) -> None:
    """Twenty rounds of eight threads and a key: one True each; what lies there is that one's."""
    for key in (f"k{number}" for number in range(20)):
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda n, k=key: store.put_if_absent(k, b"%d" % n), range(8)))
        assert sum(won) == 1
        assert store.get(key) == b"%d" % won.index(True)


def test_replace_is_compare_and_swap(store: Store) -> None:
    """Only the current etag replaces; None means that the key must not exist."""
    assert store.get_versioned("k") is None
    assert not store.replace("k", b"x", '"of nothing"')
    assert store.replace("k", b"one", None)
    assert not store.replace("k", b"two", None)
    data, etag = store.get_versioned("k") or (b"", "")
    assert data == b"one"
    assert store.replace("k", b"two", etag)
    assert not store.replace("k", b"three", etag)
    assert store.get("k") == b"two"


def test_of_eight_replacers_at_once_one_wins(store: Store) -> None:
    """A counter raised by compare-and-swap by four threads loses no step."""
    store.put_if_absent("count", b"0")

    def add(_: int) -> None:
        while True:
            data, etag = store.get_versioned("count") or (b"", "")
            if store.replace("count", b"%d" % (int(data) + 1), etag):
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(24)))
    assert store.get("count") == b"24"


def test_list_gives_the_keys_below_a_folder_sorted(store: Store) -> None:
    """Recursive; a name that merely begins alike is not below; the empty prefix is everything."""
    for key in ("m/2/b", "m/2/a/x", "m/10/c", "m2/d"):
        store.put_if_absent(key, b"")
    assert store.list("m") == ["m/10/c", "m/2/a/x", "m/2/b"]
    assert store.list("m/2/") == ["m/2/a/x", "m/2/b"]
    assert store.list("") == ["m/10/c", "m/2/a/x", "m/2/b", "m2/d"]
    assert store.list("nothing") == []


BAD_KEYS = [
    "",
    "/absolute",
    "a//b",
    "a/",
    "../x",
    "a/../b",
    "a/./b",
    "a\n",
    "a b",
    "a\x00",
    "ä",
    "~tmp/x",
    "a/b~",
    "a\\b",
    "x" * 201,
    "/".join(["x" * 100] * 10),
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_could_leave_the_store_is_refused(store: Store, key: str) -> None:
    """Dots, roots, newlines, other letters: every call refuses and nothing is made."""
    calls: list[Callable[[], object]] = [
        lambda: store.get(key),
        lambda: store.put_if_absent(key, b""),
        lambda: store.get_versioned(key),
        lambda: store.replace(key, b"", None),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="must be segments of"):
            call()
    assert store.list("") == []


def test_a_root_that_is_no_store_is_refused() -> None:
    """Other schemes and nothing at all are named."""
    for root in ("", " ", "gs://bucket", "file:///tmp", "s3://", "s3:///x"):
        with pytest.raises(ParamError, match="UPKEEP_STORE"):
            open_store(root)


def test_a_relative_root_does_not_move_with_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root is absolute from the start: jobs run in other folders."""
    monkeypatch.chdir(tmp_path)
    store = open_store("store")
    assert store.root == str(tmp_path / "store")
    monkeypatch.chdir("/")
    assert store.put_if_absent("k", b"")
    assert (tmp_path / "store" / "k").exists()


# ---------------------------------------------------------------- records


def test_a_record_is_written_once_and_read_verified(store: Store) -> None:
    """put_record gives key and hash; the same again is adopted; another is a conflict."""
    ref = put_record(store, "m/a.json", A)
    assert (ref.key, ref.sha256) == ("m/a.json", A.digest())
    assert put_record(store, "m/a.json", A) == ref
    with pytest.raises(ConflictingRecord, match=r"m/a\.json: another Approval .* approved, by"):
        put_record(store, "m/a.json", B)
    assert get_record(store, "m/a.json", Approval) == A
    assert get_record(store, "m/b.json", Approval) is None


def test_adopting_gives_what_is_stored(store: Store) -> None:
    """Whoever was first wins."""
    assert adopt_or_put(store, "k", A) == A
    assert adopt_or_put(store, "k", B) == A


def test_a_record_of_another_kind_is_corrupt(store: Store) -> None:
    """The schema's name is part of what is verified."""
    put_record(store, "k", A)
    with pytest.raises(CorruptRecord, match=r"k: holds 'Approval/1', expected 'JobRequest/1'"):
        get_record(store, "k", JobRequest)
    with pytest.raises(CorruptRecord):
        put_record(store, "k", JobRequest(kind="retrain", method="full"))


def test_the_key_of_a_step_names_model_day_revision_and_step() -> None:
    """As DESIGN's guarantee 1 has it; a day or step that is no key is refused."""
    day = date(2026, 3, 5)
    assert record_key("docs", day, "decision") == "docs/2026-03-05/r1/decision.json"
    assert record_key("docs", day, "retrain/job", 2) == "docs/2026-03-05/r2/retrain/job.json"
    with pytest.raises(StoreError):
        record_key("docs", day, "../decision")


OVERRIDE = Override(
    model="docs", day=date(2026, 3, 5), action="keep", note="café \u2028 1.5e-7", by="ada"
)


@settings(max_examples=400, deadline=None)
@given(place=st.integers(0, len(seal(OVERRIDE)) - 1), value=st.integers(0, 255))
def test_any_changed_byte_of_a_stored_record_is_an_error(place: int, value: int) -> None:
    """One byte replaced anywhere: CorruptRecord, or nothing was changed (R11)."""
    good = seal(OVERRIDE)
    bad = good[:place] + bytes([value]) + good[place + 1 :]
    if bad == good:
        assert unseal("k", bad, Override) == OVERRIDE
        return
    with pytest.raises(CorruptRecord, match="k:"):
        unseal("k", bad, Override)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_envelope_are_corrupt(data: bytes) -> None:
    """Whatever they are."""
    with pytest.raises(CorruptRecord):
        unseal("k", data, Approval)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[" * 100_000,
        seal(A)[:-1],
        seal(A) + b"\n",
        seal(A).replace(b'"schema"', b'"scheme"'),
        b'{"a":1}',
        b"[1]",
        b'{"record":{},"schema":"Approval/1","sha256":"0"}',
    ],
)
def test_cut_off_padded_or_nested_bytes_are_corrupt(data: bytes) -> None:
    """Half a record, one line more, absurd nesting: all named, none crashes."""
    with pytest.raises(CorruptRecord):
        unseal("k", data, Approval)


def test_a_sound_envelope_of_an_unsound_record_is_corrupt() -> None:
    """A hash over nonsense does not make it a record."""
    data = seal(A)
    envelope = json.loads(data)

    class Approval2(Record):
        approved: str

    forged = seal(Approval2(approved="perhaps")).replace(b"Approval2", b"Approval")
    assert set(envelope) == set(json.loads(forged))
    with pytest.raises(CorruptRecord, match="k: not a Approval: approved"):
        unseal("k", forged, Approval)
    assert sealed_digest("k", data) == A.digest()


def test_a_record_of_an_earlier_version_is_still_read() -> None:
    """A new optional field in the class does not make old records corrupt (R19)."""

    class Old(Record):
        by: str

    class New(Record):
        by: str
        note: str = ""

    Old.__name__ = New.__name__ = "Note"
    assert unseal("k", seal(Old(by="ada")), New) == New(by="ada")


# ---------------------------------------------------------------- folders of files


@pytest.fixture
def model_files(tmp_path: Path) -> Path:
    """A folder as a model's."""
    folder = tmp_path / "model"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer" / "vocab.txt").write_text("a b c")
    (folder / "weights.bin").write_bytes(os.urandom(100_000))
    return folder


def content(path: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_folder_comes_back_as_it_was(store: Store, model_files: Path, tmp_path: Path) -> None:
    """Every file with size and hash, sorted by path; twice is the same folder."""
    folder = store.put_folder("m/model", model_files)
    assert [f.path for f in folder.files] == ["config.json", "tokenizer/vocab.txt", "weights.bin"]
    assert folder.size_bytes == sum(map(len, content(model_files).values()))
    assert store.put_folder("m/model", model_files) == folder
    there = store.local_folder(folder, tmp_path / "cache")
    assert content(there) == content(model_files)
    assert store.local_folder(folder, tmp_path / "cache") == there


def test_a_folder_store_gives_its_own_files_and_s3_fetches_them_once(
    store: Store, model_files: Path, tmp_path: Path
) -> None:
    """No copy where the files lie here already; what was fetched is not fetched again."""
    folder = store.put_folder("m/model", model_files)
    there = store.local_folder(folder, tmp_path / "cache")
    if isinstance(store, LocalStore):
        assert there == Path(store.root, "m/model")
        assert not (tmp_path / "cache").exists()
        return
    assert isinstance(store, S3Store)
    store._fetch = None  # type: ignore[assignment, method-assign]
    assert store.local_folder(folder, tmp_path / "cache") == there


def test_files_of_a_try_that_died_halfway_do_not_block_the_next(
    store: Store, model_files: Path, tmp_path: Path
) -> None:
    """Other content under the prefix stays; the new files lie beside it, whole."""
    old = store.put_folder("m/model", model_files)
    (model_files / "weights.bin").write_bytes(b"other")
    new = store.put_folder("m/model", model_files)
    assert new.prefix == f"m/model.{new.files_sha256[:16]}"
    assert content(store.local_folder(new, tmp_path / "c"))["weights.bin"] == b"other"
    assert content(store.local_folder(old, tmp_path / "c"))["weights.bin"] != b"other"


def test_a_file_too_many_under_the_prefix_is_other_content(
    store: Store, model_files: Path, tmp_path: Path
) -> None:
    """Files that agree with a part of what lies there go beside it: they are not the whole."""
    store.put_folder("m/model", model_files)
    (model_files / "config.json").unlink()
    fewer = store.put_folder("m/model", model_files)
    assert fewer.prefix != "m/model"
    assert content(store.local_folder(fewer, tmp_path / "c")) == content(model_files)


@pytest.mark.parametrize("where", ["links", "below", "pipe"])
def test_links_and_devices_are_not_stored(store: Store, model_files: Path, where: str) -> None:
    """A link could name any file of the machine."""
    if where == "links":
        (model_files / "evil.bin").symlink_to("/etc/hostname")
    elif where == "below":
        (model_files / "evil.bin").symlink_to("/etc", target_is_directory=True)
    else:
        os.mkfifo(model_files / "evil.bin")
    with pytest.raises(ArtifactError, match=r"evil\.bin"):
        store.put_folder("m/model", model_files)
    assert store.list("") == []


def test_a_name_that_is_no_key_and_a_folder_without_files_are_refused(
    store: Store, tmp_path: Path
) -> None:
    """Both before anything is written."""
    folder = tmp_path / "odd"
    folder.mkdir()
    with pytest.raises(ArtifactError, match="holds no file"):
        store.put_folder("m/model", folder)
    (folder / "a b.txt").touch()
    with pytest.raises(ArtifactError, match=r"a b\.txt"):
        store.put_folder("m/model", folder)
    with pytest.raises(ArtifactError, match="must be a folder"):
        store.put_folder("m/model", folder / "a b.txt")
    with pytest.raises(StoreError):
        store.put_folder("../model", folder)
    assert store.list("") == []


def tamper(store: Store, key: str, data: bytes | None) -> None:
    """Change or delete a stored file behind the store's back."""
    if isinstance(store, LocalStore):
        path = Path(store.root, key)
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        return
    assert isinstance(store, S3Store)
    store._client.delete_object(**store._at(key))
    if data is not None:
        store._client.put_object(**store._at(key), Body=data)


@pytest.mark.parametrize("data", [None, b"", b"{}x", b"[]"])
def test_stored_files_that_were_changed_are_never_handed_out(
    store: Store, model_files: Path, tmp_path: Path, data: bytes | None
) -> None:
    """Deleted, emptied, longer, same length: an error that names the file."""
    folder = store.put_folder("m/model", model_files)
    tamper(store, "m/model/config.json", data)
    with pytest.raises((ArtifactError, StoreError), match=r"config\.json"):
        store.local_folder(folder, tmp_path / "cache")


def test_a_file_that_was_slipped_in_is_an_error(
    store: Store, model_files: Path, tmp_path: Path
) -> None:
    """Whoever loads the folder would load it too."""
    folder = store.put_folder("m/model", model_files)
    there = store.local_folder(folder, tmp_path / "cache")
    (there / "modeling.py").write_text("import os")
    with pytest.raises(ArtifactError, match=r"modeling\.py.*was never recorded"):
        store.local_folder(folder, tmp_path / "cache")


def test_a_recorded_path_cannot_leave_the_cache(store: Store, tmp_path: Path) -> None:
    """A forged Folder is refused before anything is written."""
    store.put_if_absent("m/x", b"1")
    forged = {"path": "../../escaped", "size_bytes": 1, "sha256": "0" * 64}
    folder = Folder.model_validate({"prefix": "m", "files": [forged]})
    with pytest.raises(UpkeepError):
        store.local_folder(folder, tmp_path / "cache" / "deep")
    assert not list(tmp_path.rglob("escaped"))


def test_a_file_changed_while_it_is_stored_is_an_error(
    local: LocalStore, model_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is hashed too: what is stored is what was recorded."""
    from upkeep import store_files

    scan = store_files.scan_folder

    def scan_then_change(path: Path) -> Any:
        found = scan(path)
        (path / "weights.bin").write_bytes(b"still being written")
        return found

    monkeypatch.setattr(store_files, "scan_folder", scan_then_change)
    with pytest.raises(ArtifactError, match="changed while it was stored"):
        local.put_folder("m/model", model_files)


def test_s3_is_told_the_hash_of_each_file(
    s3_environment: str, model_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server refuses bytes that are no longer those that were hashed."""
    store = S3Store(f"s3://{BUCKET}/{uuid4().hex}")
    store._client.create_bucket(Bucket=BUCKET)
    real, told = store._client.put_object, {}

    def note(**options: Any) -> Any:
        told[options["Key"].rpartition("/")[2]] = options.get("ChecksumSHA256")
        return real(**options)

    monkeypatch.setattr(store._client, "put_object", note)
    folder = store.put_folder("m", model_files)
    for file in folder.files:
        assert base64.b64decode(told[file.path.rpartition("/")[2]]).hex() == file.sha256


# ---------------------------------------------------------------- the folder and its disk

PUT = """
import sys
from upkeep.store import open_store
store = open_store(sys.argv[1])
if sys.argv[2] == "put":
    store.put_if_absent("m/k", b"x" * 100_000)
else:
    store.replace("m/k", b"y" * 100_000, store.get_versioned("m/k")[1])
"""


@pytest.mark.parametrize(
    ("how", "point"), [("put", "store.put.before_link"), ("replace", "store.replace.before_rename")]
)
def test_a_writer_that_is_killed_leaves_the_old_or_nothing(
    local: LocalStore, how: str, point: str
) -> None:
    """Killed after the bytes and before the name: no half file is ever visible."""
    if how == "replace":
        local.put_if_absent("m/k", b"old")
    killed = subprocess.run(
        [sys.executable, "-c", PUT, local.root, how],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "UPKEEP_CRASH_AT": point},
        check=False,
    )
    assert killed.returncode == 137
    assert local.get("m/k") == (b"old" if how == "replace" else None)
    assert local.list("") == (["m/k"] if how == "replace" else [])
    if how == "put":
        assert local.put_if_absent("m/k", b"new")
    else:
        assert local.replace("m/k", b"new", (local.get_versioned("m/k") or (b"", ""))[1])
    assert local.get("m/k") == b"new"


LIMITED = """
import resource, signal, sys
from upkeep.errors import StoreError
from upkeep.store import open_store
store = open_store(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    store.put_if_absent("m/k", b"x" * 100_000)
except StoreError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_is_named_and_leaves_nothing(local: LocalStore) -> None:
    """A write cut short by the system: path and cause, no key, no temporary file (R10)."""
    said = subprocess.run(
        [sys.executable, "-c", LIMITED, local.root],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"{local.root}/m/k: cannot be written: File too large" in said
    assert local.list("") == []
    assert list(Path(local.root, "~tmp").iterdir()) == []
    assert local.put_if_absent("m/k", b"x" * 100_000)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "link", "open"])
def test_every_error_of_the_disk_names_path_and_cause(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    """Full, read-only, broken: StoreError, and the key does not exist unless it is whole."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(f"upkeep.store_local.os.{call}", fail)
        with pytest.raises(StoreError, match=f"m/k: cannot be written: {os.strerror(code)}"):
            local.put_if_absent("m/k", b"data")
    assert local.get("m/k") is None
    assert local.put_if_absent("m/k", b"data")


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    """A root that is a file, and a key below another key."""
    (tmp_path / "store").write_text("in the way")
    store = LocalStore(tmp_path / "store")
    with pytest.raises(StoreError, match=r"cannot be written: (Not a directory|File exists)"):
        store.put_if_absent("m/k", b"")
    other = LocalStore(tmp_path / "other")
    other.put_if_absent("m", b"")
    with pytest.raises(StoreError, match="m/k: cannot be written"):
        other.put_if_absent("m/k", b"")


def test_a_key_that_is_a_folder_is_neither_read_nor_written(local: LocalStore) -> None:
    """It exists, so it is not put; it holds no bytes, so it is None."""
    local.put_if_absent("m/k", b"")
    assert not local.put_if_absent("m", b"")
    with pytest.raises(StoreError, match="exists and cannot be read"):
        adopt_or_put(local, "m", A)


def test_bytes_and_names_are_flushed_before_the_answer(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fsync of the file, of its folder, and of the folder above each new folder."""
    flushed: list[str] = []
    real = os.fsync

    def note(handle: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr("upkeep.store_local.os.fsync", note)
    local.put_if_absent("m/day/k", b"data")
    root = local.root
    assert [p for p in flushed if "~tmp/" in p]
    assert flushed.index(f"{root}/m") < flushed.index(f"{root}/m/day")
    assert flushed[-1] == f"{root}/m/day"
    assert {str(Path(root).parent), root} <= set(flushed)
    flushed.clear()
    local.put_if_absent("m/day/k", b"data")
    assert flushed == [f"{root}/m/day"]


def test_what_is_written_once_is_read_only_on_disk(local: LocalStore) -> None:
    """A slip of somebody's hand or script is refused by the system."""
    local.put_if_absent("k", b"")
    assert Path(local.root, "k").stat().st_mode & 0o222 == 0


# ---------------------------------------------------------------- S3 alone


@pytest.fixture
def s3(s3_environment: str) -> S3Store:
    """A store on S3."""
    store = S3Store(f"s3://{BUCKET}/{uuid4().hex}")
    store._client.create_bucket(Bucket=BUCKET)
    return store


def test_more_than_a_page_of_keys_is_listed(s3: S3Store) -> None:
    """S3 lists a page at a time (A38), here of three keys: the later pages count too."""

    def small_page(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 3

    s3._client.meta.events.register("provide-client-params.s3.ListObjectsV2", small_page)
    for n in range(10):
        s3._client.put_object(**s3._at(f"m/{n:02d}"), Body=b"")
    assert len(s3._client.list_objects_v2(Bucket=BUCKET)["Contents"]) == 3
    assert s3.list("m") == [f"m/{n:02d}" for n in range(10)]


def test_two_prefixes_of_a_bucket_do_not_see_each_other(s3: S3Store) -> None:
    """A prefix is a folder, and a bucket may be used without one."""
    s3.put_if_absent("k", b"mine")
    other = S3Store(f"{s3.root}-other/")
    assert other.get("k") is None
    assert other.list("") == []
    whole = S3Store(f"s3://{BUCKET}")
    assert whole.get(f"{s3.root.rpartition('/')[2]}/k") == b"mine"


def test_a_large_file_goes_up_in_parts_and_once(s3: S3Store, tmp_path: Path) -> None:
    """The condition holds at the completion; the same again is adopted; another is seen."""
    parts = S3Store(s3.root, part_bytes=5 << 20)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(os.urandom((5 << 20) + 17))
    kept = parts.put_folder("m/model", folder)
    assert parts.put_folder("m/model", folder) == kept
    assert content(parts.local_folder(kept, tmp_path / "cache")) == content(folder)
    (folder / "weights.bin").write_bytes(os.urandom((5 << 20) + 17))
    assert parts.put_folder("m/model", folder).prefix != kept.prefix
    assert "Uploads" not in parts._client.list_multipart_uploads(Bucket=BUCKET)


def test_a_server_that_ignores_if_none_match_is_refused(
    s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would overwrite records without a word."""
    real = s3._client.put_object

    def ignoring(**options: Any) -> Any:
        options.pop("IfNoneMatch", None)
        return real(**options)

    monkeypatch.setattr(s3._client, "put_object", ignoring)
    for write in (lambda: s3.put_if_absent("k", b""), lambda: s3.replace("k", b"", "x")):
        with pytest.raises(StoreError, match="ignores If-None-Match"):
            write()
    assert s3.list("") == []


def answer(code: str) -> Exception:
    """An error answer of S3."""
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code}}, "PutObject")


def test_a_conflict_of_two_writers_is_tried_again_a_few_times(
    s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409 is not 412: nobody has won yet."""
    s3._probed = True
    real, codes = s3._client.put_object, ["ConditionalRequestConflict"] * 2

    def conflicting(**options: Any) -> Any:
        if codes:
            raise answer(codes.pop())
        return real(**options)

    monkeypatch.setattr(s3._client, "put_object", conflicting)
    assert s3.put_if_absent("k", b"data")
    codes.extend(["ConditionalRequestConflict"] * 99)
    with pytest.raises(StoreError, match="written by others 5 times"):
        s3.put_if_absent("k2", b"data")


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "SlowDown"])
def test_any_other_answer_is_an_error_with_place_and_cause(
    s3: S3Store, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """An error is never taken for an absent key (that would be written again) nor for success."""

    def refusing(**_: Any) -> Any:
        raise answer(code)

    for call in ("put_object", "get_object"):
        monkeypatch.setattr(s3._client, call, refusing)
    s3._probed = True
    for act in (lambda: s3.put_if_absent("k", b""), lambda: s3.get("k")):
        with pytest.raises(StoreError, match=rf"{s3.root}/k: .*{code}"):
            act()


def test_a_server_that_is_away_is_a_store_error(
    s3_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connection refused, with the place."""
    monkeypatch.setenv("UPKEEP_S3_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store = S3Store(f"s3://{BUCKET}/x")
    store._client.meta.events.register("needs-retry.s3", lambda **_: None)
    with pytest.raises(StoreError, match="Could not connect"):
        store.get("k")


def test_a_lost_download_leaves_no_half_file(
    s3: S3Store, model_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while fetching: nothing under the file's name, no temporary file."""
    folder = s3.put_folder("m/model", model_files)

    def half(bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(s3._client, "download_file", half)
        with pytest.raises(StoreError, match=r"config\.json: .*No space left"):
            s3.local_folder(folder, tmp_path / "cache")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    with suppress(StoreError):
        assert content(s3.local_folder(folder, tmp_path / "cache")) == content(model_files)


def test_a_broken_cache_is_fetched_again(s3: S3Store, model_files: Path, tmp_path: Path) -> None:
    """Bytes that rotted in the cache are replaced by the store's."""
    folder = s3.put_folder("m/model", model_files)
    there = s3.local_folder(folder, tmp_path / "cache")
    (there / "config.json").write_text("rotten")
    assert content(s3.local_folder(folder, tmp_path / "cache")) == content(model_files)
