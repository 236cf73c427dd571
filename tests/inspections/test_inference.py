"""The dearest operators are named, and a runtime that keeps memory is caught."""

from __future__ import annotations

import pytest
from fakes.reviewed_model import SOME_MB, Case, HungryRuntime, model_input

from upkeep.inspections import inference
from upkeep.inspections.inference import Operator, growth
from upkeep.records import ReviewFinding, Uninspected

MIB = 2**20


def test_operators_and_memory_of_a_sound_model_are_notes() -> None:
    """Shares of the time, and a growth that does not matter."""
    made = inference.review(Case().material())
    found = {f.rule: f for f in made if isinstance(f, ReviewFinding)}
    assert {f.severity for f in found.values()} == {"note"}
    assert {"top-operators", "memory-growth"} <= set(found)
    shares = [v for n, v in found["top-operators"].evidence.items() if n.startswith("share[")]
    assert 0.0 < sum(map(float, shares)) <= 1.0
    assert any(n.startswith("calls[aten::") for n in found["top-operators"].evidence)


def test_a_runtime_that_keeps_memory_is_a_warning() -> None:
    """8 MiB a request of 4 GiB: the growth, its interval, and how many requests are left."""
    case = Case(runtime=HungryRuntime(8 * MIB))  # type: ignore[arg-type]
    made = inference.review(case.material())
    leak = next(f for f in made if isinstance(f, ReviewFinding) and f.rule == "memory-growth")
    assert leak.severity == "warning"
    assert float(leak.evidence["growth_bytes_per_request_low"]) > 4 * MIB
    assert float(leak.evidence["growth_bytes_per_request"]) < 16 * MIB
    assert float(leak.evidence["requests_until_full"]) > 0.0
    assert [u.what for u in made if isinstance(u, Uninspected)] == ["operators"]


@pytest.mark.parametrize(
    ("memory", "slope"),
    [
        ([100] * 12, 0.0),
        ([10, 50, 80, 90, *[100] * 8], 0.0),
        ([100 * n for n in range(12)], 100.0),
        ([100, 100, 100, 100, 900, *[100] * 7], 0.0),
    ],
)
def test_growth_leaves_out_the_first_third_and_single_leaps(
    memory: list[int], slope: float
) -> None:
    """Pools fill at first; one odd reading is no growth."""
    assert growth(memory).slope == pytest.approx(slope)


@pytest.mark.parametrize(
    ("operators", "size_bytes", "rules"),
    [
        ({"aten::mm": 90.0, "aten::copy_": 10.0}, SOME_MB, {}),
        ({"aten::mm": 55.0, "aten::_to_copy": 45.0}, SOME_MB, {"copies": "advice"}),
        ({"aten::mm": 30.0, "aten::mul": 70.0}, SOME_MB, {"overhead": "advice"}),
        ({"aten::mm": 30.0, "aten::mul": 70.0}, MIB, {"overhead": "note"}),
        ({"aten::mm": 20.0, "aten::copy_": 80.0}, MIB, {"copies": "note", "overhead": "note"}),
        ({"aten::_scaled_dot_product_flash_attention": 60.0, "aten::mul": 40.0}, SOME_MB, {}),
    ],
)
def test_where_the_time_goes_is_judged_by_the_models_size(
    operators: dict[str, float], size_bytes: int, rules: dict[str, str]
) -> None:
    """Calls take the time of a small model in any framework."""
    rows = [Operator(name, ms, 1) for name, ms in operators.items()]
    found = [f for f in inference._time(rows, size_bytes) if f.rule != "top-operators"]
    assert {f.rule: f.severity for f in found} == rules


def test_without_a_prompt_nothing_is_known() -> None:
    """It is said."""
    [unknown] = inference.review(Case(served=[], evaluation=[]).material())
    assert isinstance(unknown, Uninspected)


def test_another_format_is_measured_and_not_profiled() -> None:
    """Torch's profiler sees nothing of it, and that is said."""
    case = Case(runtime=HungryRuntime(0), job={"source": model_input(1, "openvino")})  # type: ignore[arg-type]
    made = inference.review(case.material())
    assert any(isinstance(u, Uninspected) and "openvino" in u.words for u in made)
