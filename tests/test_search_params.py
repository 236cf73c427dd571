"""What a search may be asked: routes that fit together, settings that mean something."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from upkeep.compression.chain import check_params
from upkeep.compression.search_space import Space, families
from upkeep.compression_methods import METHODS
from upkeep.search_params import Route
from upkeep.search_routes import STEPS, default_routes


def test_every_default_route_is_of_methods_that_there_are_and_take_its_settings() -> None:
    """Checked against the methods' own settings, for the first value of each."""
    routes = list(default_routes())
    assert len(routes) == len(STEPS)
    space = Space(routes)
    for label in space.routes:
        for step in space.first(label).steps:
            check_params(step)


def test_the_default_routes_reach_every_family_that_can_gain_speed() -> None:
    """Quantization, pruning, distillation, low rank, fusion, alone or before fewer bits."""
    space = Space(list(default_routes()))
    kinds = {families(space.first(label).steps) for label in space.routes}
    assert {
        *("quantization", "fusion+quantization", "pruning+quantization"),
        *("distillation+quantization", "low_rank+quantization"),
    } == kinds


@pytest.mark.parametrize(
    "value",
    [
        3,
        0.5,
        "even",
        None,
        True,
        [1, 2],
        {"steps": 200},
        {"choice": [[0, 1]]},
        {"low": 1, "high": 9},
    ],
)
def test_a_setting_is_a_value_a_choice_or_a_range(value: Any) -> None:
    """A mapping of its own words is a value."""
    step = {"method": "prune-layers", "params": {"layers": value}}
    assert Route.model_validate({"steps": [step]}).steps[0].params == {"layers": value}


@pytest.mark.parametrize(
    "value",
    [
        *([], {"choice": []}, {"choice": 3}, {"low": 1}, {"low": 2, "high": 1}),
        *(
            {"low": 1, "hig": 2},
            {"low": 0, "high": 3, "log": True},
            {"low": True, "high": 3},
            {"low": "a", "high": "b"},
        ),
    ],
)
def test_a_space_that_means_nothing_is_refused(value: Any) -> None:
    """Empty, one end, ends the wrong way round, a logarithm of nothing."""
    step = {"method": "prune-layers", "params": {"layers": value}}
    with pytest.raises(ValidationError, match="layers"):
        Route.model_validate({"steps": [step]})


def test_methods_that_run_others_are_no_steps() -> None:
    """Neither a chain nor a search inside a route."""
    for name in (n for n, m in METHODS.items() if m.family == "search"):
        with pytest.raises(ValidationError, match="is no step"):
            Route.model_validate({"steps": [{"method": name}]})
