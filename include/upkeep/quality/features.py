"""What a feature extractor sees in a day's images: the ground of FID, KID, IS and diversity.

The extractor is a folder with ``model.onnx`` and ``config.json`` (:class:`ExtractorConfig`),
run by onnxruntime on the CPU in batches of 64. Images enter as float32 [N, C, H, W]; features
leave as [N, D], logits, where it has them, as [N, K], both as float64.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from upkeep.errors import ArtifactError, ParamError
from upkeep.pictures import Pictures
from upkeep.quality import Settings, enough
from upkeep.records import Sample, canonical_json, sha256_hex

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

BATCH = 64
MAX_PIXELS = 2**26
"""An image of more is refused before its pixels are unpacked (a decompression bomb)."""

Pixels = Annotated[int, Field(ge=1, le=4096)]
Name = Annotated[str, Field(min_length=1)]


class ExtractorConfig(BaseModel):
    """``config.json`` beside ``model.onnx``: how images enter and what leaves.

    ``size`` is [height, width] in pixels; an image of another size is resized (bilinear, with
    antialiasing). ``channels`` is 1 (grey) or 3 (RGB); transparency is dropped. ``scale`` is
    what black and white become. ``logits`` names the output of a classifier, null for none.
    ``description`` says to people what the features are good for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    description: str = ""
    input: Name
    size: tuple[Pixels, Pixels]
    channels: Literal[1, 3]
    scale: Literal["0..1", "-1..1"]
    features: Name
    logits: Name | None


class Extractor:
    """A loaded feature extractor.

    Raises:
        ArtifactError: ``config.json`` or ``model.onnx`` is missing, broken, or they disagree.

    """

    def __init__(self, folder: Path) -> None:
        """Read both files of ``folder``."""
        self.config = _config(folder / "config.json")
        self._session = _session(folder / "model.onnx")
        has = {
            "input": [each.name for each in self._session.get_inputs()],
            "features": [each.name for each in self._session.get_outputs()],
        }
        has["logits"] = has["features"]
        for field, names in has.items():
            name = getattr(self.config, field)
            if name is not None and name not in names:
                rule = f"is not in model.onnx, which has {names}"
                raise ArtifactError(f"config.json: {field}", name, rule, "name one of these")

    def see(
        self, images: Mapping[str, bytes]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Features [N, D] and logits [N, K] of PNG files by name, in the order given.

        Raises:
            ArtifactError: an image is broken, or the model gives what is no table of numbers.

        """
        asked = [name for name in (self.config.features, self.config.logits) if name]
        names, parts = list(images), []
        for at in range(0, len(names), BATCH):
            batch = np.stack([self._pixels(n, images[n]) for n in names[at : at + BATCH]])
            parts.append(self._session.run(asked, {self.config.input: batch}))
        tables = [
            _table(asked[i], [part[i] for part in parts], len(names)) for i in range(len(asked))
        ]
        return tables[0], tables[1] if self.config.logits else None

    def _pixels(self, name: str, png: bytes) -> NDArray[np.float32]:
        """One image as float32 [C, H, W]."""
        height, width = self.config.size
        image = decoded(name, png, "L" if self.config.channels == 1 else "RGB")
        if image.size != (width, height):
            image = image.resize((width, height), 2)  # 2: Pillow's BILINEAR
        share = np.asarray(image, dtype=np.float32) / np.float32(255.0)
        if self.config.scale == "-1..1":
            share = share * np.float32(2.0) - np.float32(1.0)
        return share[None] if share.ndim == 2 else share.transpose(2, 0, 1)  # noqa: PLR2004 - grey


@dataclass(frozen=True)
class FeatureSets:
    """The features of a day's outputs and of the real images, computed when first asked for.

    ``samples`` are those whose image is there, in the day's order; the rows of ``outputs`` and
    ``logits`` are theirs. ``missing`` counts the others.
    """

    samples: tuple[Sample, ...]
    missing: int
    pictures: Pictures
    folder: Path
    sha256: str

    @classmethod
    def of(cls, samples: Sequence[Sample], pictures: Pictures | None) -> FeatureSets:
        """What is to be looked at, and by what; nothing is computed yet.

        Raises:
            ParamError: the day has no images, or the model's file names no extractor.

        """
        if pictures is None:
            raise ParamError("quality.modality", "text", "has no images", "set it to image")
        if pictures.features is None:
            rule = "an ONNX feature extractor is needed"
            raise ParamError("quality.features", None, rule, "name the folder of one")
        there = tuple(s for s in samples if s.completion in pictures.outputs)
        return cls(there, len(samples) - len(there), pictures, *pictures.features)

    def require(self, name: str, settings: Settings) -> None:
        """ParamError if fewer than ``min_samples`` samples have their image."""
        what = f"samples with an image ({self.missing} images are missing)"
        enough(name, len(self.samples), settings, what)

    @property
    def outputs(self) -> NDArray[np.float64]:
        """Features of the outputs, shape [N, D]."""
        return self._outputs[0]

    @property
    def logits(self) -> NDArray[np.float64]:
        """Logits of the outputs, shape [N, K]; ParamError if the extractor has none."""
        found = self._outputs[1]
        if found is None:
            rule = "the extractor's config.json names no logits"
            raise ParamError("quality.features", None, rule, "give a classifier")
        return found

    @cached_property
    def references(self) -> NDArray[np.float64]:
        """Features of the real images, shape [M, D], by name.

        Raises:
            ParamError: there are fewer than two real images (n < min_n).

        """
        images = self.pictures.references
        if len(images) < 2:  # noqa: PLR2004 - one image has no spread
            rule = "n < min_n = 2 real images"
            raise ParamError("quality.references", len(images), rule, "give the Parquet file")
        return self._extractor.see({name: images[name] for name in sorted(images)})[0]

    @property
    def signature(self) -> str:
        """The extractor by hash, its number of features, and the real images by hash."""
        return f"{self.extractor_signature}|references:{self._references_sha256[:12]}"

    @property
    def extractor_signature(self) -> str:
        """The extractor by hash, and its number of features."""
        return f"features:{self.sha256[:12]}|d:{self.outputs.shape[1]}"

    @cached_property
    def _references_sha256(self) -> str:
        # A name is the hash of its image, so that the names say which images they are.
        return sha256_hex(canonical_json(sorted(self.pictures.references)))

    @cached_property
    def _extractor(self) -> Extractor:
        return Extractor(self.folder)

    @cached_property
    def _outputs(self) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Each image is looked at once, however often it was served."""
        row = {name: i for i, name in enumerate(dict.fromkeys(s.completion for s in self.samples))}
        seen, logits = self._extractor.see({name: self.pictures.outputs[name] for name in row})
        rows = [row[sample.completion] for sample in self.samples]
        return seen[rows], None if logits is None else logits[rows]


def decoded(name: str, png: bytes, mode: Literal["L", "RGB"]) -> PilImage:
    """The pixels of a PNG file as grey (``L``) or ``RGB``, 8 bits a channel.

    Raises:
        ArtifactError: it is no whole PNG, or has more than ``MAX_PIXELS`` pixels.

    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                rule = f"has more than {MAX_PIXELS} pixels"
                raise ArtifactError(name, image.size, rule, "serve smaller images")
            if image.mode.startswith("I"):  # 16 bits, which convert would clip at 255
                wide = np.asarray(image, dtype=np.float64) / 257.0
                return Image.fromarray(wide.round().astype(np.uint8)).convert(mode)
            return image.convert(mode)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        rule = f"is no PNG file that can be read ({error})"
        raise ArtifactError(name, len(png), rule, "look at what the server writes") from error


def _config(file: Path) -> ExtractorConfig:
    try:
        return ExtractorConfig.model_validate_json(file.read_bytes())
    except OSError as error:
        rule = "is missing beside model.onnx"
        raise ArtifactError("config.json", None, rule, "write it as ExtractorConfig") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        rule = f"is not allowed: {first['msg']}"
        raise ArtifactError(
            f"config.json: {where}", first["input"], rule, "write it as ExtractorConfig"
        ) from error


def _session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes share no base but Exception
        rule = f"cannot be loaded ({type(error).__name__}: {error})"
        raise ArtifactError("model.onnx", file.name, rule, "export it again") from error


def _table(name: str, parts: Sequence[NDArray[Any]], rows: int) -> NDArray[np.float64]:
    """The batches' outputs as one table [rows, columns] of finite numbers."""
    if not parts:
        raise ParamError("images", 0, "none is there to be looked at", "collect some")
    found = np.concatenate(parts).astype(np.float64)
    if found.ndim != 2 or len(found) != rows:  # noqa: PLR2004 - rows and columns
        raise ArtifactError(
            f"output {name}", found.shape, f"must be [{rows}, D]", "correct the extractor"
        )
    if not np.isfinite(found).all():
        raise ArtifactError(
            f"output {name}", None, "holds what is not a finite number", "correct the extractor"
        )
    return found
