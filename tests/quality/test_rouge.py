"""ROUGE equals the Perl ROUGE-1.5.5, and each measure is the mean of its f."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
import scipy.stats
from fakes.tiny_model import make_samples, scored

from upkeep import quality
from upkeep.measures import better
from upkeep.quality import Settings
from upkeep.quality.rouge import VARIANTS, compare
from upkeep.records import Sample
from upkeep.records.production import SEPARATOR

CASES = Path(__file__).parents[3] / "shared" / "data" / "rouge-1.5.5-cases"
QUICK = Settings(min_samples=2, resamples=100)
NAMES = {variant: name for name, variant in VARIANTS.items()}


def _cases() -> list[Any]:
    path = CASES / "expected.json"
    if not path.is_file():
        reason = f"{path} is not here"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason))]
    return list(json.loads(path.read_text()))


def _text(case: dict[str, Any], side: str) -> str:
    whole = (CASES / case[side]).read_text()
    return whole if case["line"] is None else whole.split("\n")[case["line"]]


@pytest.mark.parametrize("case", _cases())
def test_it_equals_the_perl_script_to_five_decimals(case: dict[str, Any]) -> None:
    """It equals the perl script to five decimals."""
    (found,) = compare(
        [((_text(case, "target"),), _text(case, "prediction"))],
        case["metric"],
        stemmer=case["stemmer"],
    )
    expected = (case["recall"], case["precision"], case["f"])
    assert tuple(found) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("case", _cases())
def test_the_measure_of_each_name_equals_the_perl_script(case: dict[str, Any]) -> None:
    """Name, stemmer and lines reach the library: the measure's own score is the script's f."""
    sample = Sample(
        id="a",
        slice="x",
        prompt="",
        completion=_text(case, "prediction"),
        reference=_text(case, "target"),
    )
    settings = Settings(min_samples=2, resamples=100, stemmer=case["stemmer"])
    twice = [sample, sample.model_copy(update={"id": "b"})]
    found = scored(NAMES[case["metric"]], twice, settings)
    assert found.score == pytest.approx(case["f"], abs=1e-5)


def test_every_case_of_the_perl_script_is_there() -> None:
    """Eleven cases, every variant among them."""
    cases = _cases()
    if not isinstance(cases[0], dict):
        pytest.skip("the cases are not here")
    assert len(cases) == 11
    assert {case["metric"] for case in cases} == set(NAMES)


def test_the_longest_common_subsequence_of_words_worked_by_hand() -> None:
    """Lin 2004, section 3: "police killed the gunman" has 3 of 4 words in order."""
    (found,) = compare([(("police killed the gunman",), "police kill the gunman")])
    assert tuple(found) == pytest.approx((0.75, 0.75, 0.75))
    (turned,) = compare([(("police killed the gunman",), "the gunman kill police")])
    assert turned.f == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "f"), [("rouge_1", 1.0), ("rouge_2", 2 / 3), ("rouge_l", 3 / 4), ("rouge_lsum", 0.75)]
)
def test_each_name_counts_what_it_says(name: str, f: float) -> None:
    """Reference a b c d, completion b c d a: every word, 2 of 3 pairs, 3 of 4 words in order."""
    pair = Sample(id="a", slice="x", prompt="", completion="b c d a", reference="a b c d")
    found = scored(name, [pair, pair.model_copy(update={"id": "b"})], QUICK)
    assert found.score == pytest.approx(f)
    assert (found.measure, found.unit, found.direction) == (name, "1", better("rouge_l"))


def test_the_stemmer_is_used_when_asked_for() -> None:
    """Porter's stems of "jumping" and "jumped" are the same, the words are not."""
    pair = [(("dogs jumping",), "dogs jumped")]
    assert compare(pair, stemmer=True)[0].f == 1.0
    assert compare(pair)[0].f == pytest.approx(0.5)
    signature = scored("rouge_1", make_samples(3), Settings(min_samples=2, stemmer=True)).signature
    assert "|stemmer:yes|" in signature


def test_of_several_references_the_best_counts() -> None:
    """The best f counts, wherever it stands, and not the mean or the first."""
    more = []
    for place, sample in enumerate(make_samples(6)):
        known = [sample.completion, "other words"]
        turned = known[::-1] if place % 2 else known
        more.append(sample.model_copy(update={"reference": SEPARATOR.join(turned)}))
    found = scored("rouge_l", more, QUICK)
    assert found.score == pytest.approx(1.0)
    assert "|refs:best f|" in found.signature


def test_the_score_is_the_mean_over_samples_in_all_and_a_slice() -> None:
    """The score is the mean over samples in all and a slice."""
    samples = make_samples(30)
    each = [f.f for f in compare([(s.references, s.completion) for s in samples])]
    found = scored("rouge_l", samples, QUICK)
    assert found.score == pytest.approx(mean(each))
    assert found.per_sample == {s.id: f for s, f in zip(samples, each, strict=True)}
    assert found.slices[0].name == "code"
    assert found.slices[0].score == pytest.approx(mean(each[1::2]))
    assert found.signature.startswith("rougeL|f:mean|refs:best f|stemmer:no|rouge-score:")


def test_an_empty_completion_scores_zero_and_counts() -> None:
    """An empty completion scores zero and counts."""
    samples = make_samples(4)
    silent = samples[0].model_copy(update={"completion": ""})
    found = scored("rouge_l", [silent, *samples[1:]], QUICK)
    assert found.n == 4
    rest = scored("rouge_l", samples[1:], QUICK)
    assert found.score == pytest.approx(rest.score * 3 / 4)


def test_the_interval_is_students_and_as_wide_as_the_bootstraps() -> None:
    """Mean +- t s / sqrt(n), which the bootstrap of the same scores confirms."""
    samples = make_samples(80)
    found = scored("rouge_2", samples, Settings())
    f = np.array(list(found.per_sample.values()))
    half = scipy.stats.t.ppf(0.975, 79) * f.std(ddof=1) / math.sqrt(80)
    assert found.interval is not None
    assert found.interval.half_width == pytest.approx(half)
    drawn = quality.bootstrap(80, lambda at: float(f[at].mean()), Settings())
    assert drawn is not None
    assert found.interval.half_width == pytest.approx(drawn.half_width, rel=0.15)
    assert found.signature.endswith("|interval:Student")
