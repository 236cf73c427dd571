"""Single weights pruned: how many, which ones, and what healing may not touch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.learnt_llama import (
    QUICK,
    check_runs,
    compressed,
    learnt_llama,
    made,
    marked_sentences,
    weights_of,
)
from fakes.tiny_model import copy_of
from hypothesis import given
from hypothesis import strategies as st

from upkeep.compression.activations import walk_blocks
from upkeep.compression.masks import Sparsity, keep_largest
from upkeep.compression.outcome import weight_bytes
from upkeep.compression.texts import BATCH_BLOCKS, TextParams, texts_of
from upkeep.errors import ArtifactError, ParamError
from upkeep.formats.safetensors import signature
from upkeep.pretrained import load_model

ASKED = '{"sparsity": 0.7}'
METHODS = ["prune-magnitude", "prune-wanda", "prune-sparsegpt"]


def matrices(folder: Path) -> dict[str, Any]:
    """The matrices that are pruned."""
    return {name: w for name, w in weights_of(folder).items() if "_proj" in name}


@pytest.mark.parametrize("method", METHODS)
def test_each_matrix_gets_the_share_of_zeros_that_was_asked_for(method: str) -> None:
    """To one weight; of Wanda in each row."""
    share = 0.7
    folder, found, notes = made(method, ASKED)
    for name, weight in matrices(folder).items():
        zeros = weight == 0
        if method == "prune-wanda":
            assert zeros.sum(dim=1).eq(round(weight.shape[1] * share)).all(), name
        else:
            assert int(zeros.sum()) == round(weight.numel() * share), name
    assert found["sparsity"] == pytest.approx(share, abs=0.02)
    assert found["least_sparsity"] <= found["sparsity"] <= found["most_sparsity"]
    assert "weights in 21 matrices are zero" in notes[0]


@pytest.mark.parametrize(
    ("method", "pattern", "zeros", "of"),
    [
        ("prune-magnitude", "4:8", 4, 8),
        ("prune-wanda", "2:4", 2, 4),
        ("prune-sparsegpt", "2:4", 2, 4),
        ("prune-sparsegpt", "1:4", 3, 4),
    ],
)
def test_a_pattern_holds_in_every_group_of_a_row(
    tmp_path: Path, method: str, pattern: str, zeros: int, of: int
) -> None:
    """Never fewer zeros, never more."""
    compressed(method, {"pattern": pattern}, tmp_path / "out")
    for name, weight in matrices(tmp_path / "out").items():
        counts = (weight == 0).reshape(-1, of).sum(dim=1)
        assert counts.eq(zeros).all(), name


@pytest.mark.parametrize("method", METHODS)
def test_the_files_shrink_by_what_a_bit_a_weight_and_the_values_take(method: str) -> None:
    """A zero costs a bit, a value 33; the rest is as it was."""
    folder, found, notes = made(method, ASKED)
    weights = weights_of(folder)
    assert found["size_bytes"] < found["parent_size_bytes"]
    expected = 0
    for name, (_, shape) in signature(learnt_llama()).items():
        count = torch.Size(shape).numel()
        pruned = "_proj" in name
        kept = int((weights[name] != 0).sum())
        expected += count // 8 + 4 * kept if pruned else 4 * count
    assert weight_bytes(folder) == expected
    assert any("bytes" in note for note in notes)


def test_magnitude_keeps_the_largest_weights_as_they_were() -> None:
    """Nothing that went was larger than anything that stayed."""
    before = matrices(learnt_llama())
    for name, after in matrices(made("prune-magnitude", ASKED)[0]).items():
        stayed = after != 0
        assert torch.equal(after[stayed], before[name][stayed])
        assert before[name][~stayed].abs().max() <= before[name][stayed].abs().min()


def test_wanda_keeps_the_largest_weight_times_input_of_each_row() -> None:
    """Of the first block, whose inputs nothing pruned has changed; norms taken here anew."""
    model, tokenizer = load_model(learnt_llama())
    texts = texts_of(model, tokenizer, marked_sentences(), TextParams(block_tokens=32))
    assert texts is not None
    inputs: list[Any] = []
    linear = model.model.layers[0].self_attn.v_proj
    linear.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with torch.inference_mode():
        model(input_ids=texts.calibration)
    norms = torch.cat(inputs).reshape(-1, 32).norm(dim=0)
    scores = linear.weight.detach().abs() * norms
    gone = matrices(made("prune-wanda", ASKED)[0])["model.layers.0.self_attn.v_proj.weight"] == 0
    for row, zeros in zip(scores, gone, strict=True):
        assert row[zeros].max() <= row[~zeros].min()


def test_each_block_is_pruned_by_what_the_pruned_ones_before_give_it() -> None:
    """What a visit changes in a block is seen by the next ones, and by none before."""
    model = load_model(learnt_llama())[0]
    ids = torch.arange(64).view(2, 32) % 300
    seen: dict[str, list[Any]] = {"as it is": [], "first block broken": []}

    def note(number: int, block: Any, grams: dict[str, Any], _: float) -> None:
        seen["as it is"].append(grams["mlp.up_proj"])

    def break_first(number: int, block: Any, grams: dict[str, Any], _: float) -> None:
        seen["first block broken"].append(grams["mlp.up_proj"])
        if number == 0:
            block.mlp.down_proj.weight.data.zero_()

    assert walk_blocks(model, ids, note) == 64
    walk_blocks(model, ids, break_first)
    whole, broken = seen.values()
    assert torch.equal(whole[0], broken[0])
    assert not torch.allclose(whole[1], broken[1])


def test_a_statistic_of_the_walk_is_that_of_the_whole_model() -> None:
    """X^T X of the last block's input, whatever the batches."""
    model = load_model(learnt_llama())[0]
    ids = torch.arange(11 * 16).view(11, 16) % 300
    assert len(ids) > BATCH_BLOCKS
    found: dict[int, Any] = {}
    walk_blocks(model, ids, lambda n, block, grams, _: found.update({n: grams["mlp.down_proj"]}))
    inputs: list[Any] = []
    last = model.model.layers[2].mlp.down_proj
    last.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with torch.inference_mode():
        model(input_ids=ids)
    rows = torch.cat(inputs).reshape(-1, 64).double()
    assert torch.allclose(found[2], rows.T @ rows, rtol=1e-4, atol=1e-4)


def test_healing_lowers_the_loss_and_leaves_every_zero(tmp_path: Path) -> None:
    """And tells what the champion would have won by the same steps."""
    asked = json.loads(ASKED) | {"heal": QUICK}
    found, notes = compressed("prune-wanda", asked, tmp_path / "healed")
    assert found["loss_held_out_nats"] < found["unhealed_loss_held_out_nats"]
    control = found["control_loss_held_out_nats"]
    assert found["quality_loss_nats"] == pytest.approx(found["loss_held_out_nats"] - control)
    assert control < found["champion_loss_held_out_nats"]
    assert "the champion after the same steps" in notes[-1]
    plain, healed = map(matrices, (made("prune-wanda", ASKED)[0], tmp_path / "healed"))
    for name, weight in healed.items():
        assert torch.equal(weight == 0, plain[name] == 0), name
    assert not torch.equal(
        healed["model.layers.0.mlp.up_proj.weight"], plain["model.layers.0.mlp.up_proj.weight"]
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_same_job_gives_the_same_bytes_and_a_model_that_writes(
    tmp_path: Path, method: str
) -> None:
    """Whatever was done before in the process."""
    compressed(method, json.loads(ASKED), tmp_path / "b")
    folders = (made(method, ASKED)[0], tmp_path / "b")
    a, b = ((folder / "model.safetensors").read_bytes() for folder in folders)
    assert a == b
    check_runs(tmp_path / "b")


def test_the_champion_is_left_as_it_is(tmp_path: Path) -> None:
    """A job reads its source and writes its candidate."""
    source = copy_of(learnt_llama(), tmp_path / "source")
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    compressed("prune-sparsegpt", {}, tmp_path / "out", champion=source)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("prune-wanda", {"sparsity": 0.0}, "sparsity: 0.0: Input should be greater than 0"),
        ("prune-wanda", {"sparsity": 1.0}, "sparsity: 1.0: Input should be less than 1"),
        ("prune-wanda", {"sparsity": float("nan")}, "sparsity: nan"),
        ("prune-wanda", {"sparsity": "0.5"}, "sparsity: '0.5'"),
        ("prune-wanda", {"sparsity": 0.6, "pattern": "2:4"}, "pattern 2:4 means sparsity 0.5"),
        ("prune-wanda", {"pattern": "3:4"}, "pattern: '3:4'"),
        ("prune-wanda", {"sparsty": 0.5}, r"did you mean sparsity\?"),
        ("prune-wanda", {"heal": {"lr": 0.0}}, "heal.lr: 0.0"),
        ("prune-magnitude", {"calibration_blocks": 0}, "calibration_blocks: 0"),
    ],
)
def test_params_out_of_range_are_refused_before_anything_is_read(
    tmp_path: Path, method: str, params: dict[str, Any], said: str
) -> None:
    """Even the champion is not looked for."""
    with pytest.raises(ParamError, match=said):
        compressed(method, params, tmp_path / "out", champion=tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("prune-wanda", {}, "prune-wanda is calibrated on production's texts"),
        ("prune-sparsegpt", {}, "prune-sparsegpt is calibrated"),
        ("prune-magnitude", {"heal": QUICK}, "healing is calibrated"),
    ],
)
def test_what_needs_texts_says_so_where_there_are_none(
    tmp_path: Path, method: str, params: dict[str, Any], said: str
) -> None:
    """Nothing is written."""
    with pytest.raises(ParamError, match=said):
        compressed(method, params, tmp_path / "out", samples=[])
    assert list(tmp_path.iterdir()) == []


def test_magnitude_needs_no_texts_and_then_claims_no_loss(tmp_path: Path) -> None:
    """What was not measured is not there."""
    found, notes = compressed("prune-magnitude", {}, tmp_path / "out", samples=[])
    assert not any("loss" in name for name in found)
    assert "its loss was not looked at here" in notes[-1]


@given(st.integers(1, 6), st.integers(1, 6), st.floats(0.01, 0.99))
def test_a_mask_keeps_the_highest_scores_of_each_row(rows: int, groups: int, share: float) -> None:
    """Whatever the share; equal scores do not change the count."""
    scores = torch.randint(5, (rows, groups * 4)).float()
    mask = keep_largest(scores, Sparsity(sparsity=share), "m")
    gone = round(groups * 4 * share)
    assert (~mask).sum(dim=1).eq(gone).all()
    for row, kept in zip(scores, mask, strict=True):
        if 0 < gone < len(row):
            assert row[~kept].max() <= row[kept].min()


def test_a_pattern_that_does_not_divide_a_row_is_refused_with_the_place() -> None:
    """No row is rounded in silence."""
    with pytest.raises(ArtifactError, match=r"block 0: q_proj.*rows of 6 weights are not divided"):
        keep_largest(torch.ones(2, 6), Sparsity(pattern="2:4"), "block 0: q_proj")
