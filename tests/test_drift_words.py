"""Every number that a drift was judged by stands in its words, in the measure's own terms."""

from __future__ import annotations

from typing import Any

import pytest

from upkeep.drift_words import words_of
from upkeep.records import DriftResult, Interval

RELATIVE: dict[str, Any] = {
    "measure": "perplexity",
    "baseline": 5.0,
    "current": 6.5,
    "effect": 0.3,
    "interval": Interval(low=0.2, high=0.4),
    "tolerance": 0.25,
    "tolerance_kind": "relative",
    "direction": "lower_is_better",
    "evidence": 6.04,
    "baseline_days": 28,
    "state": "drifted",
    "words": "",
    "sds": 4.26,
    "recent_effect": 0.28,
    "recent_days": 1,
    "needed": 3.95,
}
ABSOLUTE = {
    **RELATIVE,
    "measure": "error_rate",
    "baseline": 0.01,
    "current": 0.05,
    "effect": 0.04,
    "tolerance": 0.02,
    "tolerance_kind": "absolute",
    "recent_effect": 0.0312345,
}


def words(base: dict[str, Any], **changed: Any) -> str:
    """The words of a result with these fields changed."""
    return words_of(DriftResult(**{**base, **changed}))


def test_a_relative_change_is_said_with_all_its_numbers() -> None:
    """Allowed is a factor of 1.25 both ways: 5 / 1.25 to 5 x 1.25."""
    assert words(RELATIVE) == (
        "perplexity 6.5 against 5 (28 days): +30.0%, +4.3 sd, allowed 4 to 6.25; "
        "evidence 6.0, needed 4.0"
    )


def test_an_absolute_change_is_said_in_the_measures_unit() -> None:
    """Allowed is the baseline +- 0.02, below zero too."""
    assert words(ABSOLUTE) == (
        "error_rate 0.05 against 0.01 (28 days): +0.04, +4.3 sd, allowed 0 to 0.03; "
        "evidence 6.0, needed 4.0"
    )


@pytest.mark.parametrize(
    ("base", "days", "end"),
    [
        (RELATIVE, 1, "needed 4.0"),
        (RELATIVE, 2, "; +28.0% over the last 2 days"),
        (ABSOLUTE, 9, "; +0.03123 over the last 9 days"),
    ],
)
def test_a_change_of_more_than_a_day_is_said_too(base: dict[str, Any], days: int, end: str) -> None:
    found = words(base, recent_days=days)
    assert found.endswith(end)
    assert ("over the last" in found) is (days > 1)


@pytest.mark.parametrize(
    ("base", "mix", "end"),
    [
        (RELATIVE, None, "needed 4.0"),
        (RELATIVE, 0.0249, "needed 4.0"),
        (RELATIVE, -0.0249, "needed 4.0"),
        (RELATIVE, 0.0251, "; within its slices, whose mix did +2.5% more"),
        (RELATIVE, -0.2, "; within its slices, whose mix did -20.0% more"),
        (ABSOLUTE, 0.0019, "needed 4.0"),
        (ABSOLUTE, -0.003, "; within its slices, whose mix did -0.003 more"),
    ],
)
def test_the_mix_is_worth_a_word_from_a_tenth_of_the_tolerance_on(
    base: dict[str, Any], mix: float | None, end: str
) -> None:
    found = words(base, mix_effect=mix)
    assert found.endswith(end)
    assert ("whose mix" in found) is ("whose mix" in end)


@pytest.mark.parametrize("missing", [{"baseline": None}, {"current": None}])
def test_what_is_not_known_is_said_so(missing: dict[str, None]) -> None:
    assert words(RELATIVE, **missing) == "perplexity: not known"


def test_a_fall_has_its_sign() -> None:
    found = words(RELATIVE, current=3.5, effect=-0.3, sds=-4.26)
    assert "perplexity 3.5 against 5 (28 days): -30.0%, -4.3 sd" in found
