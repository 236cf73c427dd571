"""BLEU is sacrebleu's, over the corpus, with an interval over the samples."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import pytest
from fakes.tiny_model import make_samples, scored
from fakes.varied_samples import marked, referenced

from upkeep.errors import ParamError
from upkeep.quality import Settings
from upkeep.records import Sample

QUICK = Settings(min_samples=2, resamples=200)


def corpus_bleu(samples: list[Sample], **options: Any) -> Any:
    """The reference: sacrebleu, over the whole corpus at once."""
    from sacrebleu.metrics import BLEU

    streams = list(zip_longest(*(s.references for s in samples)))
    metric = BLEU(**options)
    return metric, metric.corpus_score([s.completion for s in samples], streams).score


@pytest.mark.parametrize("count", [2, 3, 50])
def test_it_is_sacrebleus_corpus_score_in_all_and_a_slice(count: int) -> None:
    """The sums of sentence counts give sacrebleu's own corpus score, in all and a slice."""
    samples = make_samples(count)
    found = scored("bleu", samples, QUICK)
    assert found.score == pytest.approx(corpus_bleu(samples)[1], abs=1e-9)
    for part in found.slices:
        of_it = [s for s in samples if s.slice == part.name]
        assert part.score == pytest.approx(corpus_bleu(of_it)[1], abs=1e-9)


@pytest.mark.parametrize(
    ("numbers", "nrefs"), [([1], "1"), ([2], "2"), ([3], "3"), ([1, 3, 2], "var")]
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lowercase": True},
        {"tokenize": "intl"},
        {"tokenize": "char"},
        {"tokenize": "zh"},
        {"tokenize": "none", "lowercase": True},
    ],
)
def test_references_case_and_tokenizer_are_sacrebleus(
    numbers: list[int], nrefs: str, options: dict[str, Any]
) -> None:
    """One, several or a varying number of references: sacrebleu's score and signature."""
    samples = marked(referenced(make_samples(30), numbers))
    found = scored("bleu", samples, Settings(min_samples=2, resamples=100, **options))
    metric, expected = corpus_bleu(samples, **options)
    assert found.score == pytest.approx(expected, abs=1e-9)
    assert found.signature == f"{metric.get_signature()}|bs:100|seed:0"
    assert found.signature.startswith(f"nrefs:{nrefs}|")


def test_more_than_a_thousand_samples_are_counted_in_parts() -> None:
    """Beyond one chunk the counts still add up, whatever each chunk's number of references."""
    samples = referenced(make_samples(1001), [2])
    samples[-1] = samples[-1].model_copy(update={"reference": "one only"})
    found = scored("bleu", samples, Settings(resamples=100))
    metric, expected = corpus_bleu(samples)
    assert found.score == pytest.approx(expected, abs=1e-9)
    assert found.signature.startswith("nrefs:var|")
    assert str(metric.get_signature()) in found.signature


def test_each_samples_own_score_is_sentence_bleu() -> None:
    """Sentence BLEU, over the orders that the sentence is long enough for."""
    from sacrebleu.metrics import BLEU

    samples = referenced(make_samples(9), [1, 2])
    samples[0] = samples[0].model_copy(update={"completion": "the loop", "reference": "the loop"})
    found = scored("bleu", samples, QUICK).per_sample
    metric = BLEU(effective_order=True)
    assert found == pytest.approx(
        {s.id: metric.sentence_score(s.completion, s.references).score for s in samples}
    )
    assert found["s000"] == pytest.approx(100.0)


def test_a_tokenizer_that_would_be_downloaded_is_refused() -> None:
    """A tokenizer that would be downloaded is refused with those that are not."""
    with pytest.raises(ParamError, match=r"tokenize: 'flores200'.*'13a', 'char', 'intl'"):
        scored("bleu", make_samples(30), Settings(tokenize="flores200"))


def test_short_texts_are_smoothed_as_sacrebleu_does() -> None:
    """Short texts are smoothed as sacrebleu does."""
    samples = [
        Sample(id=str(i), slice="a", prompt="p", completion=c, reference="one two three four five")
        for i, c in enumerate(["one two six seven", "six two four", "one two", ""])
    ]
    _, expected = corpus_bleu(samples)
    assert expected > 0.0
    assert scored("bleu", samples, QUICK).score == pytest.approx(expected, abs=1e-9)


def test_the_same_text_scores_100_and_none_of_it_0() -> None:
    """The same text scores 100 and none of it 0."""
    samples = make_samples(10)
    same = [s.model_copy(update={"completion": s.reference}) for s in samples]
    other = [s.model_copy(update={"completion": "entirely different words here"}) for s in samples]
    assert scored("bleu", same, QUICK).score == pytest.approx(100.0)
    assert scored("bleu", other, QUICK).score < 5.0
    silent = [s.model_copy(update={"completion": ""}) for s in samples]
    assert scored("bleu", silent, QUICK).score == 0.0


def test_the_signature_is_sacrebleus_with_the_bootstraps_seed() -> None:
    """The signature is sacrebleu's, with the seed of the bootstrap."""
    import sacrebleu

    found = scored("bleu", make_samples(10), Settings(min_samples=2, resamples=150, seed=9))
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
    found = scored("bleu", samples, Settings(resamples=1000)).interval
    assert found is not None
    assert found.half_width == pytest.approx(reference._ci, rel=0.2)
    assert found == scored("bleu", samples, Settings(resamples=1000)).interval
