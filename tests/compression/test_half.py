"""16 bits in the files: half the bytes, rounded to nearest, and said where it computes in 32."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.tiny_model import WORDS, copy_of, tiny_llama

from upkeep.compression.half import compress
from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder
from upkeep.runtime import load


@pytest.mark.parametrize(
    ("method", "kind", "bits"), [("safetensors-bf16", "BF16", 8), ("safetensors-fp16", "F16", 11)]
)
def test_the_files_are_halved_and_the_runtime_says_what_it_computes_in(
    tmp_path: Path, method: str, kind: str, bits: int
) -> None:
    """The worst change of a weight is half a unit in its last place."""
    import torch
    from safetensors.torch import load_file

    numbers, notes = compress(tiny_llama(), [], method, {}, tmp_path / "m")
    check_model_folder(tmp_path / "m", "safetensors")
    before, after = (f / "model.safetensors" for f in (tiny_llama(), tmp_path / "m"))
    assert after.stat().st_size < 0.55 * before.stat().st_size
    exact = load_file(before)
    for name, weight in load_file(after).items():
        change = (weight.float() - exact[name]).abs()
        assert bool((change <= exact[name].abs() * 2.0**-bits + 1e-7).all()), name
    largest = max(float(weight.abs().max()) for weight in exact.values())
    assert 0.0 < numbers["worst_weight_change"] <= largest * 2.0**-bits
    assert "computed in 32 bits" in notes[0]
    model = load(tmp_path / "m", "safetensors")
    assert model.precision == f"files {kind}, weights float32, eager torch {torch.__version__}"
    loss = load(tiny_llama(), "safetensors").nll([WORDS])[0].nll_nats
    assert model.nll([WORDS])[0].nll_nats == pytest.approx(loss, rel=5e-3)


def test_a_weight_that_sixteen_bits_do_not_hold_is_refused(tmp_path: Path) -> None:
    """fp16 ends at 65504; bf16 does not."""
    from safetensors.torch import load_file, save_file

    source = copy_of(tiny_llama(), tmp_path / "source")
    weights = load_file(source / "model.safetensors")
    weights["model.norm.weight"][3] = 70_000.0
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=r"model.norm.weight: 70000.0: is beyond.*bf16"):
        compress(source, [], "safetensors-fp16", {}, tmp_path / "m")
    compress(source, [], "safetensors-bf16", {}, tmp_path / "m")
    check_model_folder(tmp_path / "m", "safetensors")


def test_it_has_no_settings(tmp_path: Path) -> None:
    """It has no settings."""
    with pytest.raises(ParamError, match=r"safetensors-bf16\.bits"):
        compress(tmp_path, [], "safetensors-bf16", {"bits": 16}, tmp_path / "m")
