"""The CLIP score equals the direct cosine, and shuffled captions score lower."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from fakes.pictures import QUICK, coloured, named, samples_of, tiny_clip
from fakes.tiny_model import scored

from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder
from upkeep.pictures import Pictures
from upkeep.quality import Score

N = 48


def _score(images: list[bytes], words: list[str], clip: tuple[Path, str] | None = None) -> Score:
    pictures = Pictures(named(images), clip=clip or tiny_clip())
    return scored("clip_score", samples_of(images, prompts=words), QUICK, pictures=pictures)


def _direct(images: list[bytes], words: list[str]) -> np.ndarray:
    """100 cos by one call of the whole model, whose embeddings have length 1."""
    import torch
    from PIL import Image
    from transformers import CLIPModel, CLIPTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder, _ = tiny_clip()
    tokens = CLIPTokenizerFast.from_pretrained(folder)(words, padding=True, return_tensors="pt")
    opened = [Image.open(io.BytesIO(image)) for image in images]
    pixels = CLIPImageProcessorPil.from_pretrained(folder)(opened, return_tensors="pt")
    with torch.inference_mode():
        found = CLIPModel.from_pretrained(folder)(**tokens, **pixels)
    return np.asarray(100.0 * (found.text_embeds * found.image_embeds).sum(dim=1))


def test_it_equals_the_direct_cosine_by_sample_and_in_the_mean() -> None:
    """Captions are partly wrong, so that some cosines are negative and count as 0."""
    images, words = coloured(40)
    turned = words[:20] + words[21:] + words[20:21]
    direct = _direct(images, turned)
    assert direct.min() < 0.0
    found = _score(images, turned)
    assert list(found.per_sample.values()) == pytest.approx(list(direct.clip(0.0)), abs=1e-3)
    assert found.score == pytest.approx(direct.clip(0.0).mean(), abs=1e-3)
    assert found.interval is not None
    assert found.interval.low < found.score < found.interval.high


def test_shuffled_captions_score_lower() -> None:
    """A paired permutation test: the same images, with captions of others."""
    from scipy.stats import permutation_test

    images, words = coloured(N)
    shuffled = [words[i] for i in np.random.default_rng(0).permutation(N)]
    own, others = (list(_score(images, w).per_sample.values()) for w in (words, shuffled))
    test = permutation_test(
        (own, others),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        alternative="greater",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    assert test.pvalue < 0.01


def test_the_score_says_how_it_was_made() -> None:
    """The score says how it was made, with a score for each sample by its id, and slices."""
    images, words = coloured(N)
    found = _score(images, words)
    assert (found.n, found.unit, found.direction) == (N, "points", "higher_is_better")
    assert found.signature.startswith("clip:cccccccccccc|weight:100|tokens:12|transformers:")
    assert sorted(found.per_sample) == [f"s{i:04d}" for i in range(N)]
    assert [(s.name, s.n) for s in found.slices] == [("a", N // 2), ("b", N // 2)]
    even = [found.per_sample[f"s{i:04d}"] for i in range(0, N, 2)]
    assert found.slices[0].score == pytest.approx(np.mean(even))


def test_a_prompt_longer_than_the_model_reads_is_cut() -> None:
    """What stands behind the last token changes nothing."""
    images, _ = coloured(6)
    cut = _score(images, ["red red red red"])
    assert cut.score == _score(images, ["red red red red blue green"]).score


def test_samples_without_prompt_or_image_are_not_counted() -> None:
    """Samples without prompt or image are not counted."""
    images, words = coloured(6)
    samples = samples_of(images, prompts=["", *words[1:]])
    pictures = Pictures(named(images[:5]), clip=tiny_clip())
    found = scored("clip_score", samples, QUICK, pictures=pictures)
    assert sorted(found.per_sample) == ["s0001", "s0002", "s0003", "s0004"]
    few = Pictures(named(images[:4]), clip=tiny_clip())
    with pytest.raises(ParamError, match=r"prompt and image \(3 are without\): 3: .*min_samples"):
        scored("clip_score", samples, QUICK, pictures=few)


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"]
)
def test_a_missing_file_of_the_model_is_an_error(tmp_path: Path, name: str) -> None:
    """Nothing is fetched, and nothing is made up in its place."""
    folder = Path(shutil.copytree(tiny_clip()[0], tmp_path / "clip"))
    (folder / name).unlink()
    images, words = coloured(6)
    with pytest.raises(ArtifactError, match=r"quality.clip"):
        _score(images, words, (folder, "d" * 64))


def test_weights_that_are_no_numbers_give_no_score(tmp_path: Path) -> None:
    """Weights that are no numbers give no score."""
    from safetensors.numpy import load_file, save_file

    folder = Path(shutil.copytree(tiny_clip()[0], tmp_path / "clip"))
    weights = load_file(folder / "model.safetensors")
    weights["visual_projection.weight"][:] = np.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    images, words = coloured(6)
    with pytest.raises(ArtifactError, match=r"sample s0000.*finite"):
        _score(images, words, (folder, "d" * 64))


def test_the_model_of_the_tests_is_one_that_a_job_may_load() -> None:
    """The model of the tests is one that a job may load."""
    check_model_folder(tiny_clip()[0], "safetensors")
