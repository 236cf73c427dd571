"""What each method makes of an image generator, and which do not fit one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes.tiny_painter import PROMPTS, requests, tiny_painter

from upkeep.compression import compression
from upkeep.compression.image_outcome import labels_of
from upkeep.compression_methods import METHODS, OF_IMAGES
from upkeep.errors import ArtifactError, ParamError
from upkeep.image_runtime import load_painter
from upkeep.model_files import check_model_folder, format_of
from upkeep.networks import load_network, read_config, save_network
from upkeep.records import Sample

SEEDS, LABELS = list(range(20)), [n % 2 for n in range(20)]
HEAL = {"steps": 60, "lr": 5e-3, "batch_blocks": 32, "images": 256, "check_every": 20, "threads": 1}


def made(
    out: Path, method: str, params: Mapping[str, Any] | None = None, champion: Path | None = None
) -> tuple[dict[str, float], tuple[str, ...]]:
    found = compression(method)(champion or tiny_painter(), requests(12), method, params or {}, out)
    check_model_folder(out, METHODS[method].format or format_of(out))
    return found


def moved(out: Path, champion: Path | None = None) -> float:
    """The largest change of a pixel."""
    before = load_painter(champion or tiny_painter(), "safetensors").paint(LABELS, SEEDS)
    after = load_painter(out, format_of(out)).paint(LABELS, SEEDS)
    return float(np.abs(after - before).max())


def test_batch_norms_are_fused_into_matrix_and_filters(tmp_path: Path) -> None:
    """The same images, fewer layers; of a linear layer each channel has 16 rows."""
    numbers, notes = made(tmp_path, "fuse-batch-norm")
    assert moved(tmp_path) < 1e-5
    assert numbers["batch_norms_fused"] == 2.0
    assert numbers["image_rmse"] < 1e-6
    assert "2 batch norms fused" in notes[0]
    kinds = [layer.kind for layer in read_config(tmp_path).layers]
    assert "batch_norm" not in kinds
    with pytest.raises(ParamError, match="no candidate: has no batch norm"):
        made(tmp_path / "again", "fuse-batch-norm", champion=tmp_path)


def test_channels_that_do_nothing_go_without_a_trace(tmp_path: Path) -> None:
    """Whose norm has scale 0 and shift 0 are the first to go; the images stay as they are."""
    network, config = load_network(tiny_painter())
    with torch.no_grad():
        for place, dead in ((2, [0, 3, 5, 6]), (5, [1, 2])):
            network.layers[place].weight[dead] = network.layers[place].bias[dead] = 0.0
    save_network(network, config, tmp_path / "champion")
    numbers, notes = made(
        tmp_path / "m", "prune-channels", {"share": 0.5, "heal": None}, tmp_path / "champion"
    )
    assert moved(tmp_path / "m", tmp_path / "champion") < 1e-6
    assert numbers["parameters"] < 0.6 * numbers["parent_parameters"]
    assert "channels 8 -> 4, 4 -> 2 by bn_scale" in notes[0]
    shapes = read_config(tmp_path / "m").shapes()
    assert [shape[0] for shape in shapes] == [64, 4, 4, 4, 2, 2, 2, 1, 1]


def test_the_smallest_filters_go_by_their_own_norm(tmp_path: Path) -> None:
    """Without batch norm too, and the names of the channels do not matter."""
    made(tmp_path / "fused", "fuse-batch-norm")
    network, _ = load_network(tmp_path / "fused")
    norms = network.layers[3].weight.detach().abs().sum(dim=(0, 2, 3))
    params = {"share": 0.25, "score": "l1", "heal": None}
    made(tmp_path / "m", "prune-channels", params, tmp_path / "fused")
    left, _ = load_network(tmp_path / "m")
    kept = sorted(norms.argsort(descending=True)[:3].tolist())
    assert torch.equal(left.layers[5].weight, network.layers[5].weight[:, kept])
    with pytest.raises(ParamError, match=r"has no batch norm behind it.*take l1"):
        made(tmp_path / "x", "prune-channels", {"heal": None}, tmp_path / "fused")


def test_healing_learns_what_the_champion_paints(tmp_path: Path) -> None:
    """No image of production is needed; equal settings give equal files."""
    numbers, notes = made(tmp_path / "m", "prune-channels", {"share": 0.25, "heal": HEAL})
    assert numbers["healed_rmse"] < 0.7 * numbers["unhealed_rmse"]
    assert "healed in 60 steps" in notes[-1]
    made(tmp_path / "again", "prune-channels", {"share": 0.25, "heal": HEAL})
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "m" / file).read_bytes()


def test_a_share_at_which_no_channel_goes_is_told_with_the_nearest(tmp_path: Path) -> None:
    """A quarter of four channels is one; a tenth of eight is none."""
    with pytest.raises(ParamError, match=r"no candidate: no channel goes.*nearest is 0\.125"):
        made(tmp_path, "prune-channels", {"share": 0.1, "heal": None})


def test_low_rank_and_what_follows_it(tmp_path: Path) -> None:
    """The pair is smaller, and norms and channels of a pair can still be fused and pruned."""
    numbers, notes = made(tmp_path / "pair", "low-rank-svd", {"parameter_share": 0.6})
    assert numbers["parameters"] < numbers["parent_parameters"]
    assert "layers.0 rank 3" in notes[0]
    made(tmp_path / "fused", "fuse-batch-norm", champion=tmp_path / "pair")
    assert moved(tmp_path / "fused", tmp_path / "pair") < 1e-5
    params = {"share": 0.25, "score": "l1", "heal": None}
    made(tmp_path / "cut", "prune-channels", params, tmp_path / "fused")
    with pytest.raises(ArtifactError, match="of low rank already"):
        made(tmp_path / "x", "low-rank-svd", {"error": 0.5}, tmp_path / "pair")
    with pytest.raises(ParamError, match=r"no candidate.*the nearest error is"):
        made(tmp_path / "y", "low-rank-svd", {"error": 1e-9})


def test_a_palette_of_many_codes_changes_little(tmp_path: Path) -> None:
    """Filters too; fewer bits, smaller files."""
    fine, _ = made(tmp_path / "8", "palette", {"bits": 8, "group_rows": 64})
    coarse, _ = made(tmp_path / "3", "palette", {"bits": 3})
    assert fine["worst_relative_error"] < 0.02 < coarse["worst_relative_error"]
    assert coarse["size_bytes"] < fine["size_bytes"]
    assert moved(tmp_path / "8") < 0.02
    assert load_painter(tmp_path / "3", "safetensors").precision.startswith("files F32+I64+U8")


def test_half_the_bytes_stay_half_through_a_chain(tmp_path: Path) -> None:
    """A later step does not blow 16 bits up to 32 again."""
    steps = [
        {"method": "safetensors-fp16"},
        {"method": "fuse-batch-norm"},
        {"method": "prune-channels", "params": {"share": 0.25, "score": "l1", "heal": None}},
    ]
    numbers, notes = made(tmp_path, "chain", {"steps": steps})
    assert load_painter(tmp_path, "safetensors").precision.startswith("files F16, weights float32")
    assert numbers["step1_image_rmse"] < 1e-3
    assert any(words.startswith("step 2, fuse-batch-norm") for words in notes)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("onnx-int8", "8-bit activations, scales at run time"),
        ("openvino-full-int8", "8-bit activations in 3 of 3 products"),
    ],
)
def test_eight_bits_are_read_from_the_running_model(tmp_path: Path, method: str, said: str) -> None:
    """And the images are still about the champion's."""
    numbers, _ = made(tmp_path, method)
    assert said in load_painter(tmp_path, format_of(tmp_path)).precision
    assert 0.0 < numbers["image_rmse"] < 0.15


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(OF_IMAGES)))
def test_a_method_that_images_have_not_says_what_they_have(tmp_path: Path, method: str) -> None:
    """Nothing is read or written."""
    with pytest.raises(ParamError, match=r"is no method for image generators.*'prune-channels'"):
        compression(method)(tiny_painter(), (), method, {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["fuse-batch-norm", "prune-channels"])
def test_a_method_of_images_says_so_of_a_decoder(tmp_path: Path, method: str) -> None:
    """And names what decoders have."""
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ParamError, match="is of image generators; for decoders take prune-heads"):
        compression(method)(tmp_path, (), method, {}, tmp_path / "out")


@pytest.mark.parametrize("method", sorted(set(OF_IMAGES) - {"chain"}))
def test_an_unknown_setting_is_refused(tmp_path: Path, method: str) -> None:
    """By its name, before anything is read."""
    with pytest.raises(ParamError, match=f"{method}.bts"):
        compression(method)(tiny_painter(), (), method, {"bts": 4}, tmp_path / "out")


def test_calibration_has_the_mix_of_production() -> None:
    """Classes as they are asked for; in turn where nobody asked."""
    config = read_config(tiny_painter())
    often = [Sample(id=str(n), slice="a", prompt=PROMPTS[n % 4 == 0]) for n in range(40)]
    assert sum(labels_of(config, often, 400)) == 100
    assert labels_of(config, (), 4) == [0, 1, 0, 1]
    with pytest.raises(ParamError, match="none of the 2 prompts"):
        labels_of(config, [Sample(id="x", slice="a", prompt="a dog")], 1)
