"""Images travel as one Parquet file, and each is the one that its name says."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upkeep.errors import ArtifactError
from upkeep.pictures import image_name, images_key, is_image_name, pack, put_file, unpack
from upkeep.records import sha256_hex
from upkeep.store import open_store

ONE, OTHER = b"\x89PNG one", b"\x89PNG other"
BOTH = {image_name(data): data for data in (ONE, OTHER)}


def test_what_was_packed_comes_back_and_equal_images_give_equal_bytes() -> None:
    """In any order."""
    assert unpack("x", pack(BOTH)) == BOTH
    assert pack(dict(reversed(BOTH.items()))) == pack(BOTH)
    assert unpack("x", pack({})) == {}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "is no Parquet file", id="empty"),
        pytest.param(pack(BOTH)[:-9], "is no Parquet file", id="cut-off"),
        pytest.param(pack({image_name(ONE): OTHER}), "is not the image of its name", id="changed"),
        pytest.param(pack({"../../x.png": ONE}), "is not the image of its name", id="a-path"),
    ],
)
def test_what_is_not_what_it_says_is_refused(data: bytes, words: str) -> None:
    """No image that was changed is ever taken for another."""
    with pytest.raises(ArtifactError, match=words):
        unpack("m/images.parquet", data)


def test_another_table_is_refused() -> None:
    """The columns are part of the format."""
    out = io.BytesIO()
    pq.write_table(pa.table({"file": ["a"]}), out)
    with pytest.raises(ArtifactError, match="columns name and png"):
        unpack("m/images.parquet", out.getvalue())


def test_a_null_is_no_image() -> None:
    """A row without bytes."""
    out = io.BytesIO()
    table = {"name": [image_name(ONE)], "png": pa.array([None], type=pa.binary())}
    pq.write_table(pa.table(table), out)
    with pytest.raises(ArtifactError, match="is not the image of its name"):
        unpack("m/images.parquet", out.getvalue())


@pytest.mark.parametrize(
    "name",
    [
        *("", "images/x.png", "/images/" + "0" * 64 + ".png", "images/" + "0" * 64 + ".png\n"),
        *("images/../" + "0" * 64 + ".png", "images/" + "A" * 64 + ".png"),
    ],
)
def test_only_a_hash_names_an_image(name: str) -> None:
    """Nothing from outside becomes a path."""
    assert is_image_name(image_name(ONE))
    assert not is_image_name(name)


def test_a_file_is_written_once_and_must_be_there(tmp_path: Path) -> None:
    """The hash is of what lies there; nothing there is an error that says what to do."""
    store = open_store(str(tmp_path))
    key = images_key("painter", date(2026, 3, 5))
    with pytest.raises(ArtifactError, match="observe the day first"):
        put_file(store, key, None)
    first = put_file(store, key, b"first")
    assert put_file(store, key, b"second") == put_file(store, key, None) == first
    assert first.sha256 == sha256_hex(b"first")
