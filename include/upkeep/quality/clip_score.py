"""How well an image fits its prompt by CLIP: 0 to 100, higher is better.

CLIPScore = mean over samples of max(100 * cos(E_image, E_text), 0)

(Hessel, Holtzman, Forbes, Le Bras & Choi 2021, "CLIPScore: a reference-free evaluation metric
for image captioning"; their weight of 2.5 is 100 here, as in torchmetrics). E are the projected
embeddings of a transformers CLIPModel from a local folder: ``config.json``, safetensors,
``tokenizer.json`` and ``preprocessor_config.json``; nothing is fetched and no code of the folder
is run. A prompt longer than the model reads is cut at its end. Unit: points. The interval is a
percentile bootstrap over the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upkeep.errors import ArtifactError, ParamError
from upkeep.pictures import Pictures
from upkeep.quality import Material, Score, by_slice, enough, finite, mean_score
from upkeep.quality.features import decoded
from upkeep.records import Sample

NAME = "clip_score"
BATCH = 32


def measure(material: Material, name: str) -> Score:  # noqa: ARG001 - the file has one
    """CLIP score of the day's images with their prompts, a sample, in all and a slice.

    Samples without a prompt or whose image is missing are not counted. Raises ParamError where
    images or the CLIP model are missing, or too few samples are left.
    """
    settings = material.settings
    pictures, folder, sha256 = _needed(material.pictures)
    counted = [s for s in material.samples if s.prompt and s.completion in pictures.outputs]
    left = len(material.samples) - len(counted)
    enough(NAME, len(counted), settings, f"samples with prompt and image ({left} are without)")
    clip = Clip(folder)
    found = clip.scores([(s.prompt, s.completion, pictures.outputs[s.completion]) for s in counted])
    for sample, value in zip(counted, found, strict=True):
        finite(NAME, f"sample {sample.id}", value)
    whole = mean_score(NAME, "all", found, settings)
    return Score(
        measure=NAME,
        score=whole.score,
        interval=whole.interval,
        n=whole.n,
        unit="points",
        direction="higher_is_better",
        signature=(
            f"clip:{sha256[:12]}|weight:100|tokens:{clip.context_tokens}"
            f"|transformers:{version('transformers')}|bs:{settings.resamples}|seed:{settings.seed}"
        ),
        slices=tuple(
            mean_score(NAME, part, found[places], settings)
            for part, places in by_slice(counted, settings).items()
        ),
        per_sample=_by_id(counted, found),
    )


class Clip:
    """A CLIP model with its own tokenizer and image processor, from a local folder.

    Raises:
        ArtifactError: a file is missing, or the folder holds no CLIP model.

    """

    def __init__(self, folder: Path) -> None:
        """Load what ``folder`` holds; nothing else is looked for."""
        from transformers import CLIPModel, CLIPTokenizerFast

        # The processor without "Pil" needs torchvision, which is not installed.
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        local = {"local_files_only": True}
        # Without the file transformers takes its own numbers, which may not be the model's.
        for file in ("config.json", "tokenizer.json", "preprocessor_config.json"):
            if not (folder / file).is_file():
                raise ArtifactError("quality.clip", file, "is missing", "add it to the folder")
        try:
            self._model: Any = CLIPModel.from_pretrained(folder, use_safetensors=True, **local)
            self._tokenizer: Any = CLIPTokenizerFast.from_pretrained(folder, **local)
            self._processor: Any = CLIPImageProcessorPil.from_pretrained(folder, **local)
        except (OSError, ValueError, RuntimeError) as error:
            rule = f"is no CLIP model ({error})"
            raise ArtifactError("quality.clip", folder.name, rule, "export it again") from error
        self._model.eval()
        self.context_tokens = int(self._model.config.text_config.max_position_embeddings)

    def scores(self, rows: Sequence[tuple[str, str, bytes]]) -> NDArray[np.float64]:
        """max(100 cos, 0) of each (prompt, image's name, PNG), shape [N]."""
        parts = [self._batch(rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)]
        return np.concatenate(parts)

    def _batch(self, rows: Sequence[tuple[str, str, bytes]]) -> NDArray[np.float64]:
        texts = self.of_texts([prompt for prompt, _, _ in rows])
        images = self.of_images([(name, png) for _, name, png in rows])
        return np.asarray(np.maximum(100.0 * (texts * images).sum(axis=1), 0.0))

    def of_texts(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Embeddings of length 1, shape [N, D]."""
        import torch

        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        tokens = self._tokenizer(
            clean,
            padding=True,
            truncation=True,
            max_length=self.context_tokens,
            return_tensors="pt",
        )
        with torch.inference_mode():
            found = self._model.get_text_features(tokens["input_ids"], tokens["attention_mask"])
        return _unit(found.pooler_output.double().numpy())

    def of_images(self, images: Sequence[tuple[str, bytes]]) -> NDArray[np.float64]:
        """Embeddings of length 1 of named PNG files, shape [N, D]."""
        import torch

        pixels = [decoded(name, png, "RGB") for name, png in images]
        batch = self._processor(images=pixels, return_tensors="pt")
        with torch.inference_mode():
            found = self._model.get_image_features(batch["pixel_values"])
        return _unit(found.pooler_output.double().numpy())


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _needed(pictures: Pictures | None) -> tuple[Pictures, Path, str]:
    if pictures is None:
        raise ParamError("quality.modality", "text", "has no images", "set it to image")
    if pictures.clip is None:
        raise ParamError("quality.clip", None, "a CLIP model is needed", "name the folder of one")
    return pictures, *pictures.clip


def _by_id(samples: Sequence[Sample], values: NDArray[np.float64]) -> dict[str, float]:
    return {sample.id: float(value) for sample, value in zip(samples, values, strict=True)}
