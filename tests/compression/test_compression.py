"""The names of methods, as a YAML may hold them."""

from __future__ import annotations

import pytest

from upkeep import compression
from upkeep.compression_methods import METHODS
from upkeep.errors import ParamError
from upkeep.spec import CompressJob


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_that_a_yaml_may_hold_has_a_function(name: str) -> None:
    """Every method that a yaml may hold has a function."""
    assert CompressJob.model_validate({"method": name}).method == name
    assert callable(compression.compression(name))
    assert METHODS[name].gain


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    """An unknown method is refused with the known ones."""
    with pytest.raises(ParamError, match=r"int3.*'openvino-int4', 'openvino-int8'"):
        compression.compression("openvino-int3")
