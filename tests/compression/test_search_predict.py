"""Bytes by arithmetic, in hand-made cases; unknown where no rule says."""

from __future__ import annotations

from typing import Any

import pytest

from upkeep.compression.search_predict import Known, Profile, predict, profile_of, size_share
from upkeep.records import Step

PROFILE = Profile(mlp=600, attention=300, outer=100, layers=4, size_bytes=4000)


def step(method: str, **params: Any) -> Step:
    """One step."""
    return Step(method=method, params=params)


@pytest.mark.parametrize(
    ("steps", "share"),
    [
        ([step("openvino-int8")], 8 / 32),
        ([step("openvino-fp16")], 16 / 32),
        ([step("openvino-int4", group_size=64)], (900 * 4.25 + 100 * 8) / 32_000),
        ([step("openvino-int4", group_size=64, ratio=0.5)], (900 * 6.125 + 100 * 8) / 32_000),
        ([step("onnx-int4", block_size=32)], (900 * 4.5 + 100 * 8) / 32_000),
        ([step("prune-mlp", share=0.5)], 0.7),
        ([step("prune-heads", share=0.5)], 0.85),
        ([step("prune-layers", layers=1)], (900 * 0.75 + 100) / 1000),
        ([step("prune-wanda", sparsity=0.5)], (900 * 17 + 100 * 32) / 32_000),
        ([step("distill-logits", layers=2, mlp_share=0.5)], (150 + 150 + 100) / 1000),
        ([step("low-rank-svd", parameter_share=0.5)], 0.55),
        ([step("palette", bits=4)], (900 * 4 + 100 * 8) / 32_000),
        ([step("fuse-norms"), step("onnx-int8")], 8 / 32),
        ([step("prune-mlp", share=0.5), step("openvino-int8")], 0.7 / 4),
        ([step("openvino-accuracy")], None),
        ([step("prune-mlp"), step("openvino-int8")], None),
        ([step("no-such-method")], None),
    ],
)
def test_size_follows_from_bits_sparsity_and_rank(steps: list[Step], share: float | None) -> None:
    """Scales of groups included; embeddings and head keep eight bits."""
    found = size_share(steps, PROFILE)
    assert found == (None if share is None else pytest.approx(share))


def test_a_profile_is_read_from_names_and_shapes() -> None:
    """Blocks have numbers, their MLPs a name."""
    shapes = [
        ("model.embed_tokens.weight", (10, 4)),
        ("model.layers.0.mlp.up_proj.weight", (8, 4)),
        ("model.layers.1.mlp.up_proj.weight", (8, 4)),
        ("model.layers.1.self_attn.q_proj.weight", (4, 4)),
    ]
    assert profile_of(shapes, 7) == Profile(64, 16, 40, 2, 7)


def test_the_nearest_measured_stands_over_the_roofline() -> None:
    """Two known of the same methods: the nearer by settings, scaled by bytes."""
    near = Known((step("prune-mlp", share=0.4),), 1.5, 0.8, "trial 3")
    far = Known((step("prune-mlp", share=0.1),), 1.1, 0.95, "trial 1")
    found = predict([step("prune-mlp", share=0.5)], PROFILE, [far, near])
    factor = 0.7 / 0.76
    assert found.size_share == pytest.approx(0.8 * factor)
    assert found.speedup == pytest.approx(1.5 / factor)
    assert "trial 3" in found.words


def test_without_anything_measured_a_token_reads_every_weight_once() -> None:
    """A quarter of the bytes: four times as fast, at most."""
    found = predict([step("openvino-int8")], PROFILE, [])
    assert (found.size_share, found.speedup) == (0.25, 4.0)


def test_what_cannot_be_predicted_says_so() -> None:
    """No number is made up."""
    found = predict([step("openvino-accuracy")], PROFILE, [])
    assert (found.size_share, found.speedup) == (None, None)
    assert "not known" in found.words
