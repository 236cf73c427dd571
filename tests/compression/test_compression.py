"""The names of methods, as a YAML may hold them."""

from __future__ import annotations

from typing import get_args

import pytest

from upkeep import compression
from upkeep.errors import ParamError
from upkeep.spec import CompressJob


def test_every_method_that_a_yaml_may_hold_has_a_function() -> None:
    """Every method that a yaml may hold has a function."""
    allowed = get_args(CompressJob.model_fields["method"].annotation)
    assert sorted(allowed) == sorted(compression.METHODS)
    for name in allowed:
        assert callable(compression.compression(name))


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    """An unknown method is refused with the known ones."""
    with pytest.raises(ParamError, match=r"int3.*\['openvino-int4', 'openvino-int8'\]"):
        compression.compression("openvino-int3")
