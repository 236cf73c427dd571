"""BLEU is sacrebleu's, over the corpus, with an interval over the samples."""

from __future__ import annotations

import pytest
from fakes.tiny_model import FakeRuntime, make_samples

from upkeep.quality import Settings
from upkeep.quality.bleu import measure
from upkeep.records import Sample

QUICK = Settings(min_samples=2, resamples=200)


def corpus_bleu(samples: list[Sample]) -> float:
    """The reference: sacrebleu, over the whole corpus at once."""
    from sacrebleu import corpus_bleu as reference

    return float(reference([s.completion for s in samples], [[s.reference for s in samples]]).score)


@pytest.mark.parametrize("count", [2, 3, 50])
def test_it_is_sacrebleus_corpus_score_in_all_and_a_slice(count: int) -> None:
    """The sums of sentence counts give sacrebleu's own corpus score, in all and a slice."""
    samples = make_samples(count)
    found = measure(FakeRuntime(), samples, QUICK)
    assert found.score == pytest.approx(corpus_bleu(samples), abs=1e-9)
    for part in found.slices:
        of_it = [s for s in samples if s.slice == part.name]
        assert part.score == pytest.approx(corpus_bleu(of_it), abs=1e-9)


def test_short_texts_are_smoothed_as_sacrebleu_does() -> None:
    """Short texts are smoothed as sacrebleu does."""
    samples = [
        Sample(id=str(i), slice="a", prompt="p", completion=c, reference="one two three four five")
        for i, c in enumerate(["one two six seven", "six two four", "one two", ""])
    ]
    expected = corpus_bleu(samples)
    assert expected > 0.0
    assert measure(FakeRuntime(), samples, QUICK).score == pytest.approx(expected, abs=1e-9)


def test_the_same_text_scores_100_and_none_of_it_0() -> None:
    """The same text scores 100 and none of it 0."""
    samples = make_samples(10)
    same = [s.model_copy(update={"completion": s.reference}) for s in samples]
    other = [s.model_copy(update={"completion": "entirely different words here"}) for s in samples]
    assert measure(FakeRuntime(), same, QUICK).score == pytest.approx(100.0)
    assert measure(FakeRuntime(), other, QUICK).score < 5.0
    silent = [s.model_copy(update={"completion": ""}) for s in samples]
    assert measure(FakeRuntime(), silent, QUICK).score == 0.0


def test_the_signature_is_sacrebleus_with_the_bootstraps_seed() -> None:
    """The signature is sacrebleu's, with the seed of the bootstrap."""
    import sacrebleu

    found = measure(FakeRuntime(), make_samples(10), Settings(min_samples=2, resamples=150, seed=9))
    assert found.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert sacrebleu.__version__ in found.signature
    assert found.signature.endswith("|bs:150|seed:9")
    assert (found.measure, found.unit, found.direction) == (
        "bleu",
        "BLEU points",
        "higher_is_better",
    )


def test_the_interval_is_sacrebleus_own_bootstrap_within_noise() -> None:
    """The interval is as wide as sacrebleu's own bootstrap, and repeatable."""
    from sacrebleu.metrics import BLEU

    samples = make_samples(80)
    reference = BLEU().corpus_score(
        [s.completion for s in samples], [[s.reference for s in samples]], n_bootstrap=1000
    )
    found = measure(FakeRuntime(), samples, Settings(resamples=1000)).interval
    assert found is not None
    assert found.half_width == pytest.approx(reference._ci, rel=0.2)
    assert found == measure(FakeRuntime(), samples, Settings(resamples=1000)).interval
