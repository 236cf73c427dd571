"""chrF is sacrebleu's chrF2, over the corpus, with an interval over the samples."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import pytest
from fakes.tiny_model import make_samples, scored
from fakes.varied_samples import marked, referenced

from upkeep.quality import Settings
from upkeep.records import Sample

QUICK = Settings(min_samples=2, resamples=100)


def corpus_chrf(samples: list[Sample], **options: Any) -> Any:
    """The reference: sacrebleu, over the whole corpus at once."""
    from sacrebleu.metrics import CHRF

    metric = CHRF(**options)
    streams = list(zip_longest(*(s.references for s in samples)))
    return metric, metric.corpus_score([s.completion for s in samples], streams).score


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize(("numbers", "nrefs"), [([1], "1"), ([2], "2"), ([1, 3, 2], "var")])
def test_it_is_sacrebleus_corpus_score_in_all_and_a_slice(
    numbers: list[int], nrefs: str, *, lowercase: bool
) -> None:
    """Score and signature are sacrebleu's, with one, several or a varying number of references."""
    samples = marked(referenced(make_samples(30), numbers))
    found = scored("chrf", samples, Settings(min_samples=2, resamples=100, lowercase=lowercase))
    metric, expected = corpus_chrf(samples, lowercase=lowercase)
    assert found.score == pytest.approx(expected, abs=1e-9)
    assert found.signature == f"{metric.get_signature()}|bs:100|seed:0"
    assert found.signature.startswith(f"nrefs:{nrefs}|case:{'lc' if lowercase else 'mixed'}|")
    for part in found.slices:
        of_it = [s for s in samples if s.slice == part.name]
        assert part.score == pytest.approx(corpus_chrf(of_it, lowercase=lowercase)[1], abs=1e-9)


def test_the_score_of_a_few_letters_worked_by_hand() -> None:
    """Completion ab, reference abc: 1-grams 2 of 2 and 2 of 3, 2-grams 1 of 1 and 1 of 2.

    P = 1, R = (2/3 + 1/2) / 2 = 7/12; chrF2 = 5 P R / (4 P + R) = 7/11.
    """
    pair = Sample(id="a", slice="x", prompt="", completion="ab", reference="abc")
    twice = [pair, pair.model_copy(update={"id": "b"})]
    assert scored("chrf", twice, QUICK).score == pytest.approx(100 * 7 / 11)


def test_each_samples_own_score_is_sentence_chrf() -> None:
    """Each sample's own score is sentence chrF with its best reference."""
    from sacrebleu.metrics import CHRF

    samples = referenced(make_samples(9), [1, 2])
    found = scored("chrf", samples, QUICK)
    assert found.per_sample == pytest.approx(
        {s.id: CHRF().sentence_score(s.completion, s.references).score for s in samples}
    )
    assert (found.measure, found.unit, found.direction) == (
        "chrf",
        "chrF points",
        "higher_is_better",
    )


@pytest.mark.parametrize(("completion", "score"), [("the same", 100.0), ("", 0.0), ("zzz", 0.0)])
def test_the_same_text_scores_100_and_none_of_it_0(completion: str, score: float) -> None:
    """The same text scores 100 and none of it 0."""
    samples = [
        Sample(id=str(i), slice="x", prompt="", completion=completion, reference="the same")
        for i in range(3)
    ]
    assert scored("chrf", samples, QUICK).score == pytest.approx(score)


def test_the_interval_is_sacrebleus_own_bootstrap_within_noise() -> None:
    """The interval is as wide as sacrebleu's own bootstrap."""
    from sacrebleu.metrics import CHRF

    samples = make_samples(80)
    reference = CHRF().corpus_score(
        [s.completion for s in samples], [[s.reference for s in samples]], n_bootstrap=1000
    )
    found = scored("chrf", samples, Settings()).interval
    assert found is not None
    assert found.half_width == pytest.approx(reference._ci, rel=0.2)
