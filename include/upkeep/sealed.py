"""The envelope in which a record lies in the store: schema, SHA-256, record.

::

    {"record": {...}, "schema": "Decision/1", "sha256": "<hash of the record's canonical bytes>"}

Records are written as canonical JSON, so an envelope has one form, byte for byte: its head, the
record's bytes, its tail. The hash is taken over exactly those bytes of the record as they lie
there: whatever single byte is changed on the way, :func:`unseal` says so, and nothing is parsed
twice.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from upkeep.errors import CorruptRecord, shown
from upkeep.records import Record, canonical_json, sha256_hex

R = TypeVar("R", bound=Record)

_HEAD, _SCHEMA = b'{"record":', b',"schema":"'
_TAIL = re.compile(rb',"schema":"([A-Za-z0-9_]+/[0-9]+)","sha256":"([0-9a-f]{64})"\}')


class Sealed(NamedTuple):
    """A record's canonical bytes as they lie in the store, and their verified hash."""

    body: bytes
    sha256: str


def schema_of(cls: type[Record]) -> str:
    """Name and version of a record's form, as envelopes carry it."""
    return f"{cls.__name__}/1"


def seal(record: Record) -> bytes:
    """The bytes that are stored for ``record``."""
    body = record.model_dump(mode="json")
    envelope = {
        "schema": schema_of(type(record)),
        "sha256": sha256_hex(canonical_json(body)),
        "record": body,
    }
    return canonical_json(envelope)


def unseal(key: str, data: bytes, cls: type[R]) -> R:
    """The record in ``data``; CorruptRecord naming ``key`` if its hash or its form is wrong.

    The hash is taken over the stored JSON, not over the parsed record: a later version of the
    class with one more optional field still reads what an earlier one wrote.
    """
    return parsed(key, sealed(key, data, schema_of(cls)).body, cls)


def sealed(key: str, data: bytes, schema: str) -> Sealed:
    """The record's bytes, not parsed; CorruptRecord if they are not of the form ``schema``."""
    found, body = _opened(key, data)
    if found[1].decode() != schema:
        raise CorruptRecord(f"{key}: holds {shown(found[1].decode())}, expected {schema!r}")
    return Sealed(body, found[2].decode())


def parsed(key: str, body: bytes, cls: type[R]) -> R:
    """The record in its canonical bytes; CorruptRecord naming ``key`` and the first field."""
    try:
        return cls.parse(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CorruptRecord(f"{key}: not a {cls.__name__}: {place}: {first['msg']}") from error


def sealed_digest(key: str, data: bytes) -> str:
    """The verified SHA-256 of the record in an envelope; what chains of records link by."""
    return _opened(key, data)[0][2].decode()


def _opened(key: str, data: bytes) -> tuple[re.Match[bytes], bytes]:
    """The tail of an envelope and the record's bytes, which have the hash that it states."""
    end = data.rfind(_SCHEMA)
    tail = _TAIL.fullmatch(data, end) if end > 0 else None
    if tail is None or not data.startswith(_HEAD):
        raise CorruptRecord(f"{key}: {len(data)} bytes that are not an envelope of a record")
    body = data[len(_HEAD) : end]
    actual, stated = sha256_hex(body), tail[2].decode()
    if actual != stated:
        raise CorruptRecord(
            f"{key}: was changed after it was written: says SHA-256 {stated}, its is {actual}"
        )
    return tail, body
