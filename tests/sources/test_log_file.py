"""Files are read in bounded pieces, and what no file is never opened."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep.sources import log_file
from upkeep.sources.log_file import lines, measure, open_regular


@given(st.binary(max_size=300).map(lambda raw: raw.replace(b"\r", b"\n")), st.integers(1, 20))
def test_lines_give_every_line_cut_to_its_bound_and_hash_every_byte(raw: bytes, limit: int) -> None:
    """Lines come as they are, long ones cut; the digest is that of the whole file."""
    digest = hashlib.sha256()
    given_lines = list(lines(io.BytesIO(raw), limit, digest))
    assert [x[: limit + 2] for x in io.BytesIO(raw)] == given_lines
    assert digest.hexdigest() == hashlib.sha256(raw).hexdigest()


def test_a_line_far_over_the_bound_is_passed_over_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No read asks for more than the bound or a chunk, however long the line is."""
    monkeypatch.setattr(log_file, "CHUNK_BYTES", 64)
    asked: list[int] = []

    class Watched(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            asked.append(size or -1)
            return super().readline(size)

    raw = b"x" * 100_000 + b"\nshort\n" + b"y" * 128  # ends on a chunk's edge
    assert list(lines(Watched(raw), 10, hashlib.sha256())) == [b"x" * 12, b"short\n", b"y" * 12]
    assert set(asked) == {12, 64}


@given(st.binary(max_size=200))
def test_measure_counts_bytes_and_lines_and_hashes(raw: bytes) -> None:
    """As Python reads the same bytes; a last line without an end counts too."""
    expected = (len(raw), len(list(io.BytesIO(raw))), hashlib.sha256(raw).hexdigest())
    assert measure(io.BytesIO(raw)) == expected


def test_measure_is_the_same_over_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line end on a chunk's edge is counted once."""
    monkeypatch.setattr(log_file, "CHUNK_BYTES", 4)
    assert measure(io.BytesIO(b"abc\nde\nf"))[:2] == (8, 3)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Opening a pipe would block for ever; a folder is no file either."""
    os.mkfifo(tmp_path / "03.jsonl")
    for path in (tmp_path / "03.jsonl", tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(path)
