"""The store on S3: If-None-Match for put-if-absent, If-Match for compare-and-swap.

Credentials and region are boto3's own (environment, profile, instance role);
``UPKEEP_S3_ENDPOINT`` names another server that speaks S3. A server that ignores If-None-Match
would silently overwrite records: such a server is refused before the first write.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast
from uuid import uuid4

from upkeep.errors import ParamError, StoreError
from upkeep.records import FileHash, Folder
from upkeep.store_files import check_key, hash_file, place_folder, verify_files

TEMPORARY = "~tmp"
PART_BYTES = 256 << 20  # S3 takes 10,000 parts: 2.5 TiB
CONFLICT_TRIES = 5
ABSENT = {"NoSuchKey", "404", "NotFound"}
REFUSED = {"PreconditionFailed", "412"}
CONFLICT = {"ConditionalRequestConflict", "409"}


class S3Store:
    """See :class:`upkeep.store.Store`."""

    def __init__(self, root: str, part_bytes: int = PART_BYTES) -> None:
        """Use ``s3://bucket/prefix``; files above ``part_bytes`` go up in parts of that size."""
        bucket, _, prefix = root.removeprefix("s3://").rstrip("/").partition("/")
        if not bucket:
            raise ParamError("UPKEEP_STORE", root, "names no bucket", "give s3://bucket/prefix")
        self.root = root.rstrip("/")
        self._bucket = bucket
        self._prefix = f"{check_key(prefix)}/" if prefix else ""
        self._part_bytes = part_bytes
        self._endpoint = os.environ.get("UPKEEP_S3_ENDPOINT") or None
        self._client = _client(self._endpoint)
        self._probed = self._endpoint is None

    def get(self, key: str) -> bytes | None:
        """As :meth:`upkeep.store.Store.get`."""
        found = self.get_versioned(key)
        return found[0] if found else None

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """As :meth:`upkeep.store.Store.put_if_absent`."""
        self._probe()
        return self._put(key, lambda: io.BytesIO(data), {"IfNoneMatch": "*"})

    def get_versioned(self, key: str) -> tuple[bytes, str] | None:
        """As :meth:`upkeep.store.Store.get_versioned`; the etag is S3's own."""
        with self._reported(key):
            try:
                answer = self._client.get_object(**self._at(key))
            except self._client.exceptions.ClientError as error:
                if _code(error) in ABSENT:
                    return None
                raise
            return answer["Body"].read(), answer["ETag"]

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        """As :meth:`upkeep.store.Store.replace`."""
        if etag is None:
            return self.put_if_absent(key, data)
        self._probe()
        return self._put(key, lambda: io.BytesIO(data), {"IfMatch": etag})

    def list(self, prefix: str) -> list[str]:
        """As :meth:`upkeep.store.Store.list`, page by page."""
        below = f"{check_key(prefix.removesuffix('/'))}/" if prefix else ""
        with self._reported(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + below
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return sorted(k.removeprefix(self._prefix) for k in keys if "~" not in k)

    def put_folder(self, prefix: str, path: Path) -> Folder:
        """As :meth:`upkeep.store.Store.put_folder`."""
        self._probe()
        return place_folder(check_key(prefix), path, self.list, self._put_file)

    def local_folder(self, folder: Folder, cache: Path) -> Path:
        """As :meth:`upkeep.store.Store.local_folder`: fetched to ``cache/<hash>`` once."""
        target = cache / folder.files_sha256
        for file in folder.files:
            path = target / check_key(file.path)
            if not path.is_file() or hash_file(path) != (file.size_bytes, file.sha256):
                self._fetch(f"{folder.prefix}/{file.path}", path, cache / TEMPORARY)
        return verify_files(target, folder.files)

    def _fetch(self, key: str, path: Path, temporary: Path) -> None:
        part = temporary / uuid4().hex
        with self._reported(key):
            try:
                temporary.mkdir(parents=True, exist_ok=True)
                path.parent.mkdir(parents=True, exist_ok=True)
                self._client.download_file(self._bucket, self._prefix + check_key(key), str(part))
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def _put_file(self, key: str, source: Path, expected: FileHash) -> bool:
        described = {"IfNoneMatch": "*", "Metadata": {"sha256": expected.sha256}}
        if expected.size_bytes > self._part_bytes:
            new = self._put_in_parts(key, source, expected)
        else:
            checksum = base64.b64encode(bytes.fromhex(expected.sha256)).decode()
            described["ChecksumSHA256"] = checksum  # the server refuses a file changed since
            new = self._put(key, lambda: source.open("rb"), described)
        if new:
            return True
        with self._reported(key):
            there = self._client.head_object(**self._at(key))
        return bool(there["Metadata"].get("sha256") == expected.sha256)

    def _put_in_parts(self, key: str, source: Path, expected: FileHash) -> bool:
        at = self._at(key)
        with self._reported(key):
            begun = self._client.create_multipart_upload(**at, Metadata={"sha256": expected.sha256})
            upload = {**at, "UploadId": begun["UploadId"]}
            try:
                parts = list(self._upload_parts(upload, source))
                done = {"MultipartUpload": {"Parts": parts}, "IfNoneMatch": "*"}
                return self._unless_refused(
                    lambda: self._client.complete_multipart_upload(**upload, **done)
                )
            finally:
                self._forget(upload)

    def _upload_parts(self, upload: dict[str, Any], source: Path) -> Iterator[dict[str, Any]]:
        with source.open("rb") as file:
            number = 0
            while chunk := file.read(self._part_bytes):
                number += 1
                part = self._client.upload_part(**upload, PartNumber=number, Body=chunk)
                yield {"PartNumber": number, "ETag": part["ETag"]}

    def _forget(self, upload: dict[str, Any]) -> None:
        """Parts of an upload that was not completed are billed until somebody aborts it."""
        try:
            self._client.abort_multipart_upload(**upload)
        except self._client.exceptions.ClientError as error:
            if _code(error) != "NoSuchUpload":  # completed: there is nothing to abort
                raise

    def _put(self, key: str, body: Callable[[], IO[bytes]], options: dict[str, Any]) -> bool:
        def put() -> None:
            with body() as opened:
                self._client.put_object(**self._at(key), Body=opened, **options)

        with self._reported(key):
            return self._unless_refused(put)

    def _unless_refused(self, write: Callable[[], object]) -> bool:
        """False if the condition failed; another write at the same moment is tried again."""
        for _ in range(CONFLICT_TRIES):
            try:
                write()
            except self._client.exceptions.ClientError as error:
                if _code(error) in REFUSED | ABSENT:
                    return False
                if _code(error) not in CONFLICT:
                    raise
            else:
                return True
        raise StoreError(f"{self.root}: written by others {CONFLICT_TRIES} times at this moment")

    def _probe(self) -> None:
        """Refuse a server that overwrites although If-None-Match was sent."""
        if self._probed:
            return
        key, once = f"~probe-{uuid4().hex}", {"IfNoneMatch": "*"}
        at = {"Bucket": self._bucket, "Key": self._prefix + key}
        with self._reported(key):
            self._client.put_object(**at, Body=b"1", **once)
            refused = not self._unless_refused(
                lambda: self._client.put_object(**at, Body=b"2", **once)
            )
            self._client.delete_object(**at)
        if not refused:
            raise StoreError(
                f"{self._endpoint}: ignores If-None-Match and would overwrite records; "
                "use a server with conditional writes"
            )
        self._probed = True

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + check_key(key)}

    @contextmanager
    def _reported(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, OSError) as error:
            raise StoreError(f"{self.root}/{key}: {error}") from error


def _client(endpoint: str | None) -> Any:
    import boto3
    from botocore.config import Config

    tries = {"mode": "standard", "max_attempts": 5}
    # Servers other than AWS's often do not know the newer default checksums.
    checksums = "when_required" if endpoint else "when_supported"
    config = Config(
        retries=tries,
        connect_timeout=10,
        read_timeout=60,
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
    )
    return boto3.client("s3", endpoint_url=endpoint, config=config)


def _code(error: Any) -> str:
    return cast("str", error.response.get("Error", {}).get("Code", ""))
