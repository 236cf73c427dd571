"""What a job may read: its own file, samples and model folders, each checked before use."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder, check_room
from upkeep.pictures import Pictures, unpack
from upkeep.records import Earlier, FileHash, JobSpec, ModelInput, Sample, sha256_hex
from upkeep.runtime import Runtime, load
from upkeep.store import Store, get_record, open_store

log = logging.getLogger("upkeep.worker")

STORED = 3


@dataclass(frozen=True)
class Inputs:
    """What a job may read, checked against its recorded hashes at every reading."""

    job: JobSpec
    store: Store
    cache: Path

    def samples(self, role: str) -> list[Sample]:
        """The samples of a role; ParamError if the job has none, ArtifactError if they changed."""
        known = self.job.data.get(role)
        if known is None:
            raise ParamError(f"data.{role}", sorted(self.job.data), "is missing", "name the file")
        return parse_samples(known, self.store.get(known.path))

    def earlier(self) -> list[Earlier]:
        """What earlier days found of ways to compress; nothing where the job has none."""
        known = self.job.data.get("earlier")
        if known is None:
            return []
        lines = checked(known, self.store.get(known.path)).split(b"\n")
        return [Earlier.parse(line) for line in lines if line]

    def pictures(self) -> Pictures | None:
        """The images of an image model and what looks at them; None for another model."""
        if not {"images", "references"} & self.job.data.keys():
            return None
        return Pictures(
            self._images("images") if "images" in self.job.data else {},
            self._images("references") if "references" in self.job.data else {},
            self._tool("features", "onnx"),
            self._tool("clip", "safetensors"),
        )

    def _images(self, role: str) -> dict[str, bytes]:
        known = self.job.data[role]
        return unpack(known.path, checked(known, self.store.get(known.path)))

    def _tool(
        self, role: str, file_format: Literal["onnx", "safetensors"]
    ) -> tuple[Path, str] | None:
        """The folder of a model that measures, and the hash of its files."""
        folder = self.job.tools.get(role)
        if folder is None:
            return None
        model = ModelInput(version=role, format=file_format, folder=folder)
        return self.folder(model), folder.files_sha256

    def folder(self, model: ModelInput) -> Path:
        """The model's files on this disk, whole, unchanged and harmless; else ArtifactError."""
        if self.store.root.startswith("s3://"):
            self.cache.mkdir(parents=True, exist_ok=True)
            check_room(model.folder, self.cache)
        path = self.store.local_folder(model.folder, self.cache)
        check_model_folder(path, model.format)
        return path

    def runtime(self, model: ModelInput, threads: int | None) -> Runtime:
        """The model, loaded."""
        started = time.perf_counter()
        loaded = load(self.folder(model), model.format, threads or self.job.resources.cpus)
        log.info(
            "version %s: %s (%.1f s)",
            model.version,
            loaded.precision,
            time.perf_counter() - started,
        )
        return loaded


def read_job(args: Sequence[str]) -> JobSpec:
    """The job that the arguments name: ``JOB.json``, or ``STORE KEY SHA256`` for one in a store.

    Raises:
        ParamError: with file:field, where there is no such job or it is not allowed.
        CorruptRecord, StoreError: the store's is not what was written, or cannot be read.

    """
    if len(args) == STORED:
        return _stored_job(*args)
    if len(args) != 1:
        rule = "must be JOB.json, or STORE KEY SHA256"
        raise ParamError("arguments", args, rule, "name the job")
    try:
        return JobSpec.parse(Path(args[0]).read_bytes())
    except OSError as error:
        raise ParamError("JOB.json", args[0], f"cannot be read: {error}", "check it") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"{args[0]}:{'.'.join(str(part) for part in first['loc'])}"
        raise ParamError(where, first["input"], first["msg"], "correct the job") from None


def _stored_job(root: str, key: str, sha256: str) -> JobSpec:
    job = get_record(open_store(root), key, JobSpec)
    if job is None:
        raise ParamError("job", f"{root}/{key}", "is not in the store", "submit the job again")
    if job.digest() != sha256:
        raise ParamError(f"{root}/{key}", job.digest(), f"is not {sha256}", "submit the job again")
    return job


def parse_samples(known: FileHash, data: bytes | None) -> list[Sample]:
    """The samples in ``data``; ArtifactError unless it is exactly the recorded file."""
    lines = checked(known, data).split(b"\n")
    return [Sample.model_validate_json(line) for line in lines if line]


def checked(known: FileHash, data: bytes | None) -> bytes:
    """``data`` itself; ArtifactError unless it is exactly the recorded file."""
    if data is None:
        raise ArtifactError(known.path, None, "is not in the store", "run the day again")
    if sha256_hex(data) != known.sha256:
        raise ArtifactError(
            known.path, sha256_hex(data), f"is not the recorded {known.sha256}", "restore the file"
        )
    return data
