"""Student's t agrees with the printed tables, and refuses what is no number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upkeep.student import student_t_quantile, student_t_tail


@pytest.mark.parametrize(
    ("confidence", "df", "t"),
    [(0.95, 1, 12.7062), (0.95, 4, 2.7764), (0.99, 10, 3.1693), (0.90, 30, 1.6973)],
)
def test_quantiles_of_student_agree_with_the_printed_tables(
    confidence: float, df: float, t: float
) -> None:
    """Two-sided critical values as in every table of Student's t."""
    assert student_t_quantile(confidence, df) == pytest.approx(t, abs=1e-4)


def test_no_degrees_of_freedom_bound_nothing() -> None:
    """The quantile is infinite where there is nothing to estimate noise from."""
    assert student_t_quantile(0.95, 0.0) == math.inf


@given(t=st.floats(-40, 40), df=st.floats(0.5, 200))
def test_the_two_tails_of_student_make_one(t: float, df: float) -> None:
    """P(T > t) + P(T > -t) = 1, also for fractional degrees of freedom."""
    assert student_t_tail(t, df) + student_t_tail(-t, df) == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    """As an argument and as degrees of freedom."""
    with pytest.raises(ValueError, match="t, df"):
        student_t_tail(bad, 3.0)
    with pytest.raises(ValueError, match="t, df"):
        student_t_tail(1.0, bad)


def test_degrees_of_freedom_and_confidence_have_bounds() -> None:
    """No tail of nothing, no quantile of certainty."""
    with pytest.raises(ValueError, match=r"df is 0\.0"):
        student_t_tail(1.0, 0.0)
    with pytest.raises(ValueError, match=r"confidence is 1\.0"):
        student_t_quantile(1.0, 3.0)
