"""Compressed streams give what can be had, end at their limit, and say what was wrong."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.request_logs import zstd
from upkeep.sources.log_codec import CHUNK_BYTES, Format, LogStream, open_lines, wrong_format

LIMIT = 2**30
NOISE = random.Random(1).randbytes(300_000)
PACK = {"jsonl": bytes, "jsonl.gz": gzip.compress, "jsonl.zst": zstd}


def unpacked(kind: Format, data: bytes, limit: int = LIMIT) -> tuple[bytes, LogStream]:
    """Read all of a stream."""
    opened, stream = open_lines(kind, io.BytesIO(data), limit)
    return opened.read(), stream


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(sorted(PACK)), st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_members_and_frames_one_after_another_come_out_as_they_went_in(
    kind: Format, parts: list[bytes]
) -> None:
    """As the command line tools read files that were joined."""
    data, stream = unpacked(kind, b"".join(PACK[kind](part) for part in parts))
    assert data == b"".join(parts)
    assert (stream.fault, stream.tail_bytes, stream.too_large) == (None, 0, False)


@pytest.mark.parametrize("kind", ["jsonl.gz", "jsonl.zst"])
def test_b6_of_a_stream_that_is_cut_in_half_the_beginning_is_given(kind: Format) -> None:
    """``gzip.open`` would give nothing of it."""
    whole = PACK[kind](NOISE)
    data, stream = unpacked(kind, whole[: len(whole) // 2])
    assert len(data) >= len(NOISE) // 2 - 2 * CHUNK_BYTES
    assert NOISE.startswith(data)
    assert (stream.fault or "").startswith("is cut off")


def test_b7_a_gzip_padded_with_zeros_is_whole_and_one_with_garbage_is_told() -> None:
    """The data is good in both; the tail belongs to nothing."""
    packed = gzip.compress(b"x\n")
    for tail, odd in ((b"\0" * 1000, 0), (b"garbage", 7), (b"\0" * 9 + b"gz" + b"\0" * 70_000, 2)):
        data, stream = unpacked("jsonl.gz", packed + tail)
        assert (data, stream.fault, stream.tail_bytes) == (b"x\n", None, odd)


def test_b7_a_zstd_with_a_garbage_tail_is_not_whole() -> None:
    """Arrow does not say where its last frame ended."""
    data, stream = unpacked("jsonl.zst", zstd(b"x\n" * 100_000) + b"garbage")
    assert data == (b"x\n" * 100_000)[: len(data)]
    assert stream.fault == "is cut off or damaged"


@pytest.mark.parametrize("kind", ["jsonl.gz", "jsonl.zst"])
def test_b8_a_bomb_stops_at_the_limit_in_bounded_memory(kind: Format) -> None:
    """A gibibyte of zeros in a megabyte or less; never more than a few chunks are held."""
    bomb = PACK[kind](b"\0" * 2**27)
    assert len(bomb) < 2**18
    opened, stream = open_lines(kind, io.BytesIO(bomb), 2**24)
    tracemalloc.start()
    given_bytes = 0
    while data := opened.read(2**16):
        given_bytes += len(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 2**24 - CHUNK_BYTES <= given_bytes <= 2**24
    assert stream.too_large
    assert stream.fault == f"decompresses to more than {2**24} bytes"
    assert peak < 2**23


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_b2_a_flipped_byte_of_gzip_never_gives_other_data_in_silence(data: st.DataObject) -> None:
    """Its CRC-32 tells; what is not told is the same data."""
    raw = bytearray(gzip.compress(NOISE[:300] * 3, mtime=0))
    raw[data.draw(st.integers(2, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    out, stream = unpacked("jsonl.gz", bytes(raw))
    assert out == NOISE[:300] * 3 or stream.fault


@settings(deadline=None)
@given(st.sampled_from(["jsonl.gz", "jsonl.zst"]), st.binary(max_size=300))
def test_any_bytes_give_a_stream_that_ends(kind: Format, raw: bytes) -> None:
    """Nothing raises."""
    for head in (b"", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd"):
        unpacked(kind, head + raw)


@pytest.mark.parametrize(
    ("expected", "head", "words"),
    [
        ("jsonl", b'{"a": 1}', None),
        ("jsonl.gz", b"\x1f\x8b\x08", None),
        ("jsonl.zst", b"\x28\xb5\x2f\xfd", None),
        ("parquet", b"PAR1", None),
        ("jsonl.gz", b"PK\x03\x04", "is zip, which its name does not say"),
        ("jsonl.gz", b"\x28\xb5\x2f\xfd", "is zstd, which its name does not say"),
        ("jsonl.gz", b'{"a": 1}', "is not gzip, as its name says"),
        ("parquet", b"\x1f\x8b\x08", "is gzip, which its name does not say"),
        ("parquet", b"PAR", "is not Parquet, as its name says"),
        ("jsonl", b"PAR1", "is Parquet, which its name does not say"),
    ],
)
def test_b9_what_a_file_is_stands_in_its_first_bytes(
    expected: Format, head: bytes, words: str | None
) -> None:
    """A name is a claim."""
    assert wrong_format(expected, head) == words
