"""ROUGE equals the Perl ROUGE-1.5.5, and the measure is the mean of ROUGE-L's f."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from fakes.tiny_model import FakeRuntime, make_samples

from upkeep.quality import Settings
from upkeep.quality.rouge import compare, measure

CASES = Path(__file__).parents[3] / "shared" / "data" / "rouge-1.5.5-cases"
QUICK = Settings(min_samples=2, resamples=100)


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
        [(_text(case, "target"), _text(case, "prediction"))],
        case["metric"],
        stemmer=case["stemmer"],
    )
    expected = (case["recall"], case["precision"], case["f"])
    assert tuple(found) == pytest.approx(expected, abs=1e-5)


def test_the_longest_common_subsequence_of_words_worked_by_hand() -> None:
    """Lin 2004, section 3: "police killed the gunman" has 3 of 4 words in order."""
    (found,) = compare([("police killed the gunman", "police kill the gunman")])
    assert tuple(found) == pytest.approx((0.75, 0.75, 0.75))
    (turned,) = compare([("police killed the gunman", "the gunman kill police")])
    assert turned.f == pytest.approx(0.5)


def test_the_stemmer_is_used_when_asked_for() -> None:
    """Porter's stems of "jumping" and "jumped" are the same, the words are not."""
    pair = [("dogs jumping", "dogs jumped")]
    assert compare(pair, stemmer=True)[0].f == 1.0
    assert compare(pair)[0].f == pytest.approx(0.5)


def test_the_score_is_the_mean_over_samples_in_all_and_a_slice() -> None:
    """The score is the mean over samples in all and a slice."""
    samples = make_samples(30)
    each = [f.f for f in compare([(s.reference, s.completion) for s in samples])]
    found = measure(FakeRuntime(), samples, QUICK)
    assert found.score == pytest.approx(mean(each))
    assert found.slices[0].name == "code"
    assert found.slices[0].score == pytest.approx(mean(each[1::2]))
    assert (found.measure, found.unit, found.direction) == ("rouge_l", "1", "higher_is_better")
    assert found.signature.startswith("rougeL|f:mean|stemmer:no|rouge-score:")


def test_an_empty_completion_scores_zero_and_counts() -> None:
    """An empty completion scores zero and counts."""
    samples = make_samples(4)
    silent = samples[0].model_copy(update={"completion": ""})
    found = measure(FakeRuntime(), [silent, *samples[1:]], QUICK)
    assert found.n == 4
    rest = measure(FakeRuntime(), samples[1:], QUICK)
    assert found.score == pytest.approx(rest.score * 3 / 4)
