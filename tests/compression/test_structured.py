"""Whole parts pruned: the smaller network is the larger one without them, and loads anywhere."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.learnt_llama import (
    QUICK,
    check_runs,
    compressed,
    learnt_llama,
    logits_of,
    made,
    marked_sentences,
)
from fakes.tiny_model import copy_of
from hypothesis import given
from hypothesis import strategies as st

from upkeep.compression.importance import group_scores, highest, neuron_scores
from upkeep.compression.shrinking import keep_groups, keep_layers, keep_neurons
from upkeep.compression.structured import look
from upkeep.compression.texts import TextParams, Texts, texts_of
from upkeep.errors import ArtifactError, ParamError
from upkeep.pretrained import load_model, save_model

ASKED = {
    "prune-heads": '{"share": 0.5}',
    "prune-mlp": '{"share": 0.5}',
    "prune-layers": '{"layers": 1}',
}


def model() -> Any:
    """Give a fresh copy of the learnt model."""
    return load_model(learnt_llama())[0]


def texts() -> Texts:
    """The texts as the methods see them."""
    learnt, tokenizer = load_model(learnt_llama())
    found = texts_of(learnt, tokenizer, marked_sentences(), TextParams(block_tokens=32))
    assert found is not None
    return found


def test_without_some_groups_it_is_the_network_whose_groups_add_nothing() -> None:
    """Other groups in each layer; queries go with their keys and values."""
    whole, kept = model(), [[0], [1], [1]]
    smaller = keep_groups(whole, kept)
    for layer, places in enumerate(kept):
        for group in {0, 1} - set(places):
            whole.model.layers[layer].self_attn.o_proj.weight.data[
                :, group * 16 : group * 16 + 16
            ] = 0
    assert torch.allclose(logits_of(smaller), logits_of(whole), atol=1e-5)
    assert smaller.config.num_attention_heads == 2
    assert smaller.model.layers[0].self_attn.k_proj.weight.shape == (8, 32)


def test_without_some_neurons_it_is_the_network_whose_neurons_add_nothing() -> None:
    """Other neurons in each layer."""
    whole = model()
    kept = [list(range(0, 64, 2)), list(range(32)), list(range(32, 64))]
    smaller = keep_neurons(whole, kept)
    for layer, places in enumerate(kept):
        gone = [place for place in range(64) if place not in places]
        whole.model.layers[layer].mlp.down_proj.weight.data[:, gone] = 0
    assert torch.allclose(logits_of(smaller), logits_of(whole), atol=1e-5)
    assert smaller.config.intermediate_size == 32


@pytest.mark.parametrize("kept", [[0, 2], [1], [0, 1, 2]])
def test_without_some_layers_it_is_the_network_whose_layers_hand_on_what_they_get(
    kept: list[int],
) -> None:
    """A layer that adds nothing to the residual stream is no layer."""
    whole = model()
    smaller = keep_layers(whole, kept)
    for layer in {0, 1, 2} - set(kept):
        block = whole.model.layers[layer]
        block.self_attn.o_proj.weight.data.zero_()
        block.mlp.down_proj.weight.data.zero_()
    assert torch.allclose(logits_of(smaller), logits_of(whole), atol=1e-5)
    assert smaller.config.num_hidden_layers == len(kept)


@pytest.mark.parametrize("method", sorted(ASKED))
def test_the_result_is_a_plain_smaller_model_for_any_loader(method: str) -> None:
    """Transformers' own gives the same network as ours, with nothing missing."""
    from transformers import AutoModelForCausalLM

    folder, found, notes = made(method, ASKED[method])
    theirs, said = AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, output_loading_info=True
    )
    assert not any(said.values())
    ours = load_model(folder)[0]
    assert torch.equal(logits_of(theirs), logits_of(ours))
    counts = [sum(p.numel() for p in one.parameters()) for one in (model(), ours)]
    assert [found["parent_parameters"], found["parameters"]] == counts
    assert counts[1] < counts[0]
    lost = found["parent_size_bytes"] - found["size_bytes"]
    assert lost == pytest.approx(4 * (counts[0] - counts[1]), abs=2500)
    assert "stay in each layer" in notes[0] or "by block influence" in notes[0]
    check_runs(folder)


def planted(tmp_path: Path) -> Path:
    """The learnt model with a useless group, 32 useless neurons and a useless layer."""
    broken = model()
    first, middle = broken.model.layers[0], broken.model.layers[1]
    first.self_attn.o_proj.weight.data[:, :16] *= 1e-3
    first.mlp.down_proj.weight.data[:, ::2] *= 1e-3
    middle.self_attn.o_proj.weight.data *= 1e-3
    middle.mlp.down_proj.weight.data *= 1e-3
    save_model(broken, learnt_llama(), tmp_path / "planted")
    return tmp_path / "planted"


@pytest.mark.parametrize("method", sorted(ASKED))
def test_what_adds_least_is_what_goes(tmp_path: Path, method: str) -> None:
    """Planted in the first layer, and as the middle layer."""
    source = planted(tmp_path)
    out = tmp_path / "out"
    _, notes = compressed(method, json.loads(ASKED[method]), out, champion=source)
    before = load_model(source)[0].model.layers
    after = load_model(out)[0].model.layers
    if method == "prune-heads":
        assert torch.equal(after[0].self_attn.v_proj.weight, before[0].self_attn.v_proj.weight[8:])
    elif method == "prune-mlp":
        assert torch.equal(after[0].mlp.up_proj.weight, before[0].mlp.up_proj.weight[1::2])
    else:
        assert "went 1 (" in notes[0]
        assert torch.equal(after[1].mlp.up_proj.weight, before[2].mlp.up_proj.weight)


def test_a_blocks_influence_is_one_minus_the_mean_cosine_over_tokens() -> None:
    """Taken here from the hidden states that transformers gives."""
    from torch.nn.functional import cosine_similarity

    found = look(model(), texts(), "").influence
    ids = texts().calibration
    with torch.inference_mode():
        states = model()(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    # The last state is behind the final norm, and so no block's output.
    for layer, (x, y) in enumerate(pairwise(states[:-1])):
        expected = 1.0 - float(cosine_similarity(x, y, dim=-1).double().mean())
        assert found[layer] == pytest.approx(expected, abs=1e-5)
    assert len(found) == 3


@given(st.integers(0, 20), st.sampled_from([1, 2, 3, 6]))
def test_scores_are_the_norms_of_what_the_parts_add(seed: int, groups: int) -> None:
    """||X_part W_part^T||_F^2, computed from X itself."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(5, 12, generator=generator, dtype=torch.float64)
    inputs = torch.randn(30, 12, generator=generator, dtype=torch.float64)
    gram = inputs.T @ inputs
    size = 12 // groups
    for place, score in enumerate(group_scores(weight, gram, groups)):
        part = slice(place * size, (place + 1) * size)
        assert float(score) == pytest.approx(
            float((inputs[:, part] @ weight[:, part].T).square().sum())
        )
    assert torch.allclose(neuron_scores(weight, gram), group_scores(weight, gram, 12))


def test_of_equal_scores_the_first_stay() -> None:
    """So that the same job gives the same model."""
    assert highest([1.0, 2.0, 1.0, 1.0], 3) == [0, 1, 2]


@pytest.mark.parametrize("method", ["prune-mlp"])
def test_healing_lowers_the_loss_of_what_was_pruned(tmp_path: Path, method: str) -> None:
    """Beside the champion after the same steps."""
    asked = json.loads(ASKED[method]) | {"heal": QUICK}
    found, _ = compressed(method, asked, tmp_path / "a")
    assert found["loss_held_out_nats"] < found["unhealed_loss_held_out_nats"] - 0.02
    assert found["control_loss_held_out_nats"] <= found["champion_loss_held_out_nats"]
    _, plain, _ = made(method, ASKED[method])
    assert found["unhealed_loss_held_out_nats"] == pytest.approx(plain["loss_held_out_nats"])


def test_a_folder_pruned_twice_is_pruned_twice(tmp_path: Path) -> None:
    """Any of them may follow any other."""
    folder, _, _ = made("prune-heads", ASKED["prune-heads"])
    compressed("prune-mlp", {"share": 0.25}, tmp_path / "b", champion=folder)
    compressed("prune-layers", {"layers": 2}, tmp_path / "c", champion=tmp_path / "b")
    config = load_model(tmp_path / "c")[0].config
    sizes = (config.num_attention_heads, config.intermediate_size, config.num_hidden_layers)
    assert sizes == (2, 48, 1)
    check_runs(tmp_path / "c")


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("prune-heads", {}, "share: .*: Field required"),
        ("prune-heads", {"share": 1.0}, "share: 1.0"),
        ("prune-mlp", {"share": 0.0}, "share: 0.0"),
        ("prune-mlp", {"share": 0.5, "multiple_of": 0}, "multiple_of: 0"),
        ("prune-layers", {"layers": 0}, "layers: 0"),
        ("prune-layers", {"layers": True}, "layers: True"),
        ("prune-layers", {"layer": 1}, "layer"),
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
        ("prune-heads", {"share": 0.1}, r"keeps 2 of 2 groups; shares .* are \[0.5\]"),
        ("prune-heads", {"share": 0.9}, "keeps 0 of 2 groups"),
        ("prune-mlp", {"share": 0.05}, "keeps 64 of 64 neurons, in steps of 8"),
        ("prune-layers", {"layers": 3}, "must be less than the model's 3 layers"),
    ],
)
def test_a_share_that_leaves_all_or_nothing_is_refused_with_what_is_possible(
    tmp_path: Path, method: str, params: dict[str, Any], said: str
) -> None:
    """Nothing is written."""
    with pytest.raises(ParamError, match=said):
        compressed(method, params, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_heads_that_the_architecture_does_not_take_are_refused(tmp_path: Path) -> None:
    """Three heads do not divide 32: Llama's config would not load."""
    source = tmp_path / "many"
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(learnt_llama(), num_key_value_heads=4)
    made_anew = LlamaForCausalLM(config)
    save_model(made_anew, learnt_llama(), source)
    with pytest.raises(ParamError, match=r"keeps 3 of 4 groups; shares .* are \[0.5, 0.75\]"):
        compressed("prune-heads", {"share": 0.25}, tmp_path / "out", champion=source)


def test_a_network_of_another_build_is_refused_by_name(tmp_path: Path) -> None:
    """GPT-2's matrices have other names, and a pair of low rank is no matrix."""
    from transformers import GPT2Config, GPT2LMHeadModel

    other = GPT2Config(
        vocab_size=320, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    save_model(GPT2LMHeadModel(other), learnt_llama(), tmp_path / "gpt2")
    with pytest.raises(ArtifactError, match=r"GPT2LMHeadModel.*has no whole model.layers"):
        compressed("prune-layers", {"layers": 1}, tmp_path / "out", champion=tmp_path / "gpt2")
    pairs, _, _ = made("low-rank-svd", '{"parameter_share": 0.6}')
    with pytest.raises(ArtifactError, match="has no whole"):
        compressed("prune-mlp", {"share": 0.5}, tmp_path / "out", champion=pairs)


@pytest.mark.parametrize("method", sorted(ASKED))
def test_the_same_job_gives_the_same_bytes(tmp_path: Path, method: str) -> None:
    """Whatever was done before in the process."""
    compressed(method, json.loads(ASKED[method]), tmp_path / "b")
    folders = (made(method, ASKED[method])[0], tmp_path / "b")
    a, b = ((folder / "model.safetensors").read_bytes() for folder in folders)
    assert a == b


def test_no_texts_are_said(tmp_path: Path) -> None:
    """All three look at texts."""
    for method, asked in ASKED.items():
        with pytest.raises(ParamError, match=f"{method} is calibrated on production's texts"):
            compressed(method, json.loads(asked), tmp_path / "out", samples=[])


def test_a_champion_that_is_broken_is_refused(tmp_path: Path) -> None:
    """Its config says more layers than it has."""
    broken = copy_of(learnt_llama(), tmp_path / "m", num_hidden_layers=4)
    with pytest.raises(ArtifactError, match=r"weights do not fit config\.json"):
        compressed("prune-layers", {"layers": 1}, tmp_path / "out", champion=broken)
