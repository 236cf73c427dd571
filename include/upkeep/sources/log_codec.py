"""Compressed logs as bounded streams: what is damaged ends early and says why, and never raises.

A stream gives every byte that could be decompressed before the damage (of zstd all but the
last 64 KiB), so that the whole lines before a cut are kept. It stops at ``limit_bytes``,
whatever the file claims to hold.
"""

from __future__ import annotations

import io
import zlib
from abc import abstractmethod
from typing import IO, Any, BinaryIO, Literal

Format = Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet"]
CHUNK_BYTES = 2**16
MAGIC_BYTES = 8
_GZIP = 16 + zlib.MAX_WBITS
_CUT_OFF = "is cut off"
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "Parquet",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}
_EXPECTED = {"jsonl": None, "jsonl.gz": "gzip", "jsonl.zst": "zstd", "parquet": "Parquet"}


def wrong_format(expected: Format, head: bytes) -> str | None:
    """Why a file that begins with ``head`` is not what its name says; None if it may be."""
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    if found == _EXPECTED[expected]:
        return None
    if found is None:
        return f"is not {_EXPECTED[expected]}, as its name says"
    return f"is {found}, which its name does not say"


class LogStream(io.RawIOBase):
    """The decompressed bytes of a file.

    After the last byte, ``fault`` says why there may be more that cannot be had, and
    ``too_large`` whether that is the limit; ``tail_bytes`` counts what follows the data and
    belongs to nothing.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Give at most ``limit_bytes``."""
        super().__init__()
        self.fault: str | None = None
        self.too_large = False
        self.tail_bytes = 0
        self._limit, self._given, self._ended = limit_bytes, 0, False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a part of the buffer; 0 at the end."""
        data = b"" if self._ended else self._more(min(len(buffer), CHUNK_BYTES))
        self._given += len(data)
        if self._given > self._limit:
            self.too_large, data = True, b""
            self.fault = f"decompresses to more than {self._limit} bytes"
        self._ended = self._ended or not data
        buffer[: len(data)] = data
        return len(data)

    @abstractmethod
    def _more(self, most: int) -> bytes:
        """Up to ``most`` further bytes, none at the end."""


class GzipStream(LogStream):
    """One gzip member after another, until the file ends or goes on with something else."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        """Read ``file`` from where it stands."""
        super().__init__(limit_bytes)
        self._file, self._input, self._member = file, b"", zlib.decompressobj(_GZIP)

    def _more(self, most: int) -> bytes:
        while not self._member.eof or self._next_member():
            try:
                data = self._member.decompress(self._input, most)
            except zlib.error:
                self.fault = "is damaged"
                return b""
            self._input = self._member.unconsumed_tail
            if data:
                return data
            if not self._input and not self._member.eof and not self._refill():
                self.fault = _CUT_OFF
                return b""
        return b""

    def _next_member(self) -> bool:
        """Whether another member follows; zeros that pad a file are nothing."""
        self._input = self._member.unused_data or self._input
        if len(self._input) < MAGIC_BYTES:
            self._input += self._file.read(CHUNK_BYTES)
        if wrong_format("jsonl.gz", self._input) is None:
            self._member = zlib.decompressobj(_GZIP)
            return True
        while self._input:
            self.tail_bytes += len(self._input.strip(b"\0"))
            self._refill()
        return False

    def _refill(self) -> bool:
        self._input = self._file.read(CHUNK_BYTES)
        return bool(self._input)


class ZstdStream(LogStream):
    """zstd frames, by Arrow."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        """Read ``file`` from where it stands."""
        super().__init__(limit_bytes)
        import pyarrow as pa

        self._stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")

    def _more(self, most: int) -> bytes:
        try:
            return bytes(self._stream.read(most))
        except (OSError, ValueError):  # Arrow raises both, for a cut and for damage alike
            self.fault = "is cut off or damaged"
            return b""


class PlainStream(LogStream):
    """A file as it is."""

    def __init__(self, file: BinaryIO) -> None:
        """Read ``file`` from where it stands; its own size is the limit."""
        super().__init__(2**63)
        self._file = file

    def _more(self, most: int) -> bytes:
        return self._file.read(most)


def open_lines(kind: Format, file: BinaryIO, limit_bytes: int) -> tuple[IO[bytes], LogStream]:
    """The decompressed file to read lines from, and the stream that knows how it ended."""
    stream: LogStream
    if kind == "jsonl.gz":
        stream = GzipStream(file, limit_bytes)
    elif kind == "jsonl.zst":
        stream = ZstdStream(file, limit_bytes)
    else:
        stream = PlainStream(file)
    return io.BufferedReader(stream, 2**20), stream
