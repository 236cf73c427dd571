"""What all measures share: names, slices, the bootstrap, and that nothing unknown passes."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from fakes.tiny_model import make_samples, scored

from upkeep import quality
from upkeep.errors import ArtifactError, ParamError
from upkeep.measures import better
from upkeep.quality import Settings
from upkeep.spec import Quality

PICTURES = {"clip_score", "fid", "image_vendi", "inception_score", "kid"}
TEXTS = sorted(set(quality.MEASURES) - PICTURES)
REFERENCED = ["bleu", "chrf", "rouge_1", "rouge_2", "rouge_l", "rouge_lsum"]


def test_every_name_that_a_yaml_may_hold_has_a_measure() -> None:
    """Every name that a yaml may hold has a measure."""
    (allowed,) = get_args(Quality.model_fields["measures"].annotation)[:1]
    assert sorted(get_args(allowed)) == sorted(quality.MEASURES)
    for name in quality.MEASURES:
        assert callable(quality.measure(name))


def test_an_unknown_measure_is_refused_with_the_known_ones() -> None:
    """An unknown measure is refused with the known ones."""
    with pytest.raises(ParamError, match=r"fidelity.*'bleu', 'chrf'"):
        quality.measure("fidelity")


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_measure_of_images_is_refused_for_a_model_without(name: str) -> None:
    """A measure of images is refused for a model that makes none."""
    with pytest.raises(ParamError):
        scored(name, make_samples(40), Settings())


@pytest.mark.parametrize("name", TEXTS)
def test_too_few_samples_are_an_error_that_says_so(name: str) -> None:
    """Too few samples are an error that says so."""
    with pytest.raises(ParamError, match="4: are fewer than min_samples = 5"):
        scored(name, make_samples(4), Settings(min_samples=5))


@pytest.mark.parametrize("name", TEXTS)
def test_a_score_repeats_itself_and_samples_have_theirs_by_id(name: str) -> None:
    """A score repeats itself, and per-sample scores are kept by id."""
    samples = make_samples(40)
    found = scored(name, samples, Settings(resamples=100))
    assert found == scored(name, samples, Settings(resamples=100))
    assert set(found.per_sample) <= {sample.id for sample in samples}
    assert bool(found.per_sample) == (name not in {"distinct_2", "text_vendi"})
    assert found.measure == name
    assert found.direction == better(name)


@pytest.mark.parametrize("name", REFERENCED)
def test_samples_without_reference_do_not_count(name: str) -> None:
    """Samples without reference do not count."""
    samples = make_samples(6)
    blind = [s.model_copy(update={"reference": ""}) for s in make_samples(30)]
    settings = Settings(min_samples=5, resamples=100)
    alone = scored(name, samples, settings)
    assert scored(name, samples + blind, settings) == alone
    with pytest.raises(ParamError, match="samples with a reference"):
        scored(name, blind, settings)


@pytest.mark.parametrize("name", TEXTS)
def test_a_score_comes_with_interval_number_signature_and_slices(name: str) -> None:
    """A score comes with interval number signature and slices."""
    samples = make_samples(40)
    found = scored(name, samples, Settings(resamples=200))
    assert found.n == 40
    assert found.interval is not None
    assert found.interval.low <= found.score <= found.interval.high
    assert [(s.name, s.n) for s in found.slices] == [("code", 20), ("docs", 20)]
    assert found.signature
    assert found.unit


def test_the_bootstrap_covers_the_mean_as_often_as_it_says() -> None:
    """The bootstrap covers the mean as often as it says."""
    draw = np.random.default_rng(7)
    hits = 0
    for trial in range(200):
        values = draw.normal(5.0, 1.0, 60)
        found = quality.bootstrap(
            60, lambda at, v=values: float(v[at].mean()), Settings(resamples=200, seed=trial)
        )
        assert found is not None
        hits += found.low <= 5.0 <= found.high
    assert 175 <= hits <= 199


def test_the_bootstrap_repeats_itself_and_one_sample_bounds_nothing() -> None:
    """The bootstrap repeats itself and one sample bounds nothing."""
    values = np.arange(10.0)
    once, again = (
        quality.bootstrap(10, lambda at: float(values[at].mean()), Settings(resamples=150))
        for _ in range(2)
    )
    assert once == again
    assert quality.bootstrap(1, lambda at: 1.0, Settings()) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_an_error(value: float) -> None:
    """A score that is no number is an error."""
    with pytest.raises(ArtifactError, match="not a finite number"):
        quality.finite("bleu", "all", value)


def test_naming_a_measure_imports_no_other() -> None:
    """Naming a measure imports no other."""
    code = (
        "import sys; from upkeep import quality; quality.measure('perplexity')\n"
        "bad = {'torch', 'sacrebleu', 'rouge_score', 'sklearn', 'upkeep.quality.bleu'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
