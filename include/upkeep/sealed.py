"""The envelope in which a record lies in the store: schema, SHA-256, record.

::

    {"record": {...}, "schema": "Decision/1", "sha256": "<hash of the record's canonical bytes>"}

The whole envelope is canonical JSON, and only its exact canonical bytes are read back: whatever
single byte is changed on the way, :func:`unseal` says so.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from upkeep.errors import CorruptRecord, shown
from upkeep.records import Record, canonical_json, sha256_hex

R = TypeVar("R", bound=Record)


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
    body = _checked_body(key, data, schema_of(cls))
    try:
        return cls.parse(canonical_json(body))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CorruptRecord(f"{key}: not a {cls.__name__}: {place}: {first['msg']}") from error


def sealed_digest(key: str, data: bytes) -> str:
    """The SHA-256 that an envelope states for its record; what chains of records link by."""
    return str(_envelope(key, data)["sha256"])


def _checked_body(key: str, data: bytes, schema: str) -> Any:
    envelope = _envelope(key, data)
    if envelope["schema"] != schema:
        raise CorruptRecord(f"{key}: holds {shown(envelope['schema'])}, expected {schema!r}")
    actual = sha256_hex(canonical_json(envelope["record"]))
    if envelope["sha256"] != actual:
        raise CorruptRecord(f"{key}: says SHA-256 {shown(envelope['sha256'])}, its is {actual}")
    return envelope["record"]


def _envelope(key: str, data: bytes) -> dict[str, Any]:
    try:
        envelope = json.loads(data)
        whole = canonical_json(envelope) == data
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(f"{key}: {len(data)} bytes that are not JSON: {error}") from error
    if not whole or not isinstance(envelope, dict):
        raise CorruptRecord(f"{key}: was changed after it was written")
    if set(envelope) != {"schema", "sha256", "record"}:
        raise CorruptRecord(f"{key}: not an envelope of a record: {shown(sorted(envelope))}")
    return envelope
