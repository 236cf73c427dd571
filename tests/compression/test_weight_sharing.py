"""Shared weights: lossless where there are values enough, and as small as computed."""

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
from fakes.tiny_model import tiny_llama
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.compression.kmeans import codebook_of, nearest
from upkeep.compression.outcome import weight_bytes
from upkeep.compression.shared_values import Shared, share_weight, unshare_weight
from upkeep.compression.texts import TextParams, loss_nats, texts_of
from upkeep.errors import ParamError
from upkeep.formats.packed import declared
from upkeep.formats.safetensors import signature
from upkeep.pretrained import load_model, save_model

FOUR = '{"bits": 4}'
SHARED = json.dumps({"share": 0.25, "heal": QUICK | {"steps": 2}})
NUMBERS = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=60)


def matrices(folder: Path) -> dict[str, Any]:
    """The matrices of the blocks."""
    return {name: w for name, w in weights_of(folder).items() if "_proj" in name}


@given(NUMBERS, st.integers(1, 8))
@settings(max_examples=40)
def test_as_many_codes_as_values_lose_nothing(numbers: list[float], bits: int) -> None:
    """And fewer never choose a centre that is not the nearest."""
    values = torch.tensor(numbers)
    book = codebook_of(values, 2**bits)
    assert len(book) == 2**bits
    found = book[nearest(values, book)]
    if len(set(numbers)) <= 2**bits:
        assert torch.equal(found, values)
    distances = (values[:, None].double() - book.double()).abs()
    assert torch.allclose((found - values).abs().double(), distances.min(dim=1).values, atol=1e-4)


@given(NUMBERS, st.integers(1, 4))
@settings(max_examples=40)
def test_centres_are_the_means_of_their_numbers(numbers: list[float], bits: int) -> None:
    """Lloyd's algorithm has come to rest; empty centres aside."""
    values = torch.tensor(numbers)
    book = codebook_of(values, 2**bits)
    places = nearest(values, book)
    for place in set(places.tolist()):
        mean = values[places == place].double().mean()
        assert float(book[place]) == pytest.approx(float(mean), abs=1e-3)


def test_k_means_is_as_good_as_scikit_learns() -> None:
    """From the same even start, on numbers that are spread as weights are."""
    from sklearn.cluster import KMeans

    values = torch.randn(3000, generator=torch.Generator().manual_seed(4))
    book = codebook_of(values, 16)
    start = torch.linspace(float(values.min()), float(values.max()), 16)[:, None].numpy()
    theirs = KMeans(16, init=start, n_init=1, max_iter=100, tol=0.0).fit(values[:, None].numpy())
    ours = float((values - book[nearest(values, book)]).square().sum())
    assert ours == pytest.approx(theirs.inertia_, rel=1e-3)


def test_no_numbers_and_equal_numbers_have_a_codebook() -> None:
    """A pruned matrix may hold nothing but zeros."""
    assert codebook_of(torch.tensor([]), 4).tolist() == [0.0] * 4
    assert codebook_of(torch.full((5,), 2.0), 4).tolist() == [2.0] * 4


@pytest.mark.parametrize(
    ("params", "bits", "embedding_bits", "books"),
    [
        ({"bits": 4}, 4, 8, 1),
        ({"bits": 2, "embedding_bits": 4}, 2, 4, 1),
        ({"bits": 3, "embedding_bits": None}, 3, None, 1),
        ({"bits": 2, "embedding_bits": None, "group_rows": 16}, 2, None, 16),
    ],
)
def test_the_bytes_on_disk_are_those_of_indices_and_codebooks(
    tmp_path: Path, params: dict[str, Any], bits: int, embedding_bits: int | None, books: int
) -> None:
    """Embeddings are stored once, as they are tied."""
    found, notes = compressed("palette", params, tmp_path / "out")
    expected = 0
    for name, (_, shape) in signature(learnt_llama()).items():
        count = torch.Size(shape).numel()
        chosen = bits if "_proj" in name else embedding_bits if "embed" in name else None
        groups = -(-shape[0] // 16) if books > 1 else 1
        plain = chosen is None
        expected += 4 * count if plain else count * chosen // 8 + 4 * groups * 2**chosen
    assert weight_bytes(tmp_path / "out") == expected
    assert found["size_bytes"] < found["parent_size_bytes"]
    assert "matrices packed" in notes[0]
    check_runs(tmp_path / "out")


@pytest.mark.parametrize(("method", "asked"), [("palette", FOUR), ("hashed", SHARED)])
def test_the_loaded_weights_take_few_values_and_are_what_was_judged(
    method: str, asked: str
) -> None:
    """The folder's loss is the record's."""
    folder, found, _ = made(method, asked)
    for name, weight in matrices(folder).items():
        most = 16 if method == "palette" else weight.numel() // 4
        assert len(weight.abs().unique() if method == "hashed" else weight.unique()) <= most, name
    check_loss(folder, found)
    check_runs(folder)


def check_loss(folder: Path, found: dict[str, float]) -> None:
    """Return only if the folder's loss on the held-out texts is the one of the record."""
    model, tokenizer = load_model(folder)
    texts = texts_of(model, tokenizer, marked_sentences(), TextParams(block_tokens=32))
    assert texts is not None
    loss = loss_nats(model, texts.held_out)
    assert loss == pytest.approx(found["loss_held_out_nats"], abs=1e-5)


def test_a_palette_of_eight_bits_is_close_and_one_of_one_bit_is_not(tmp_path: Path) -> None:
    """More codes, less error."""
    errors = [
        compressed("palette", {"bits": bits}, tmp_path / str(bits))[0]["worst_relative_error"]
        for bits in (1, 2, 6)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.05


def test_what_was_pruned_stays_pruned_in_a_palette(tmp_path: Path) -> None:
    """Deep Compression's own pair of steps: a bit for a zero, an index for the others."""
    sparse, _, _ = made("prune-magnitude", '{"sparsity": 0.75}')
    found, _ = compressed("palette", {"bits": 4}, tmp_path / "out", champion=sparse)
    before, after = matrices(sparse), matrices(tmp_path / "out")
    for name in before:
        assert torch.equal(before[name] == 0, after[name] == 0), name
    declaration = declared(tmp_path / "out")
    assert declaration is not None
    kinds = {f.kind for n, f in declaration.packed.items() if "_proj" in n}
    assert kinds == {"sparse-palette"}
    assert found["size_bytes"] < found["parent_size_bytes"]
    plain = made("palette", FOUR)[0]
    assert weight_bytes(tmp_path / "out") < weight_bytes(plain)
    check_loss(tmp_path / "out", found)
    check_runs(tmp_path / "out")


def test_a_palette_of_pairs_is_loaded_as_pairs(tmp_path: Path) -> None:
    """Low rank, then palettes of both sides."""
    from upkeep.pretrained import low_rank_of

    pairs, _, _ = made("low-rank-svd", '{"parameter_share": 0.6}')
    compressed("palette", {"bits": 6}, tmp_path / "out", champion=pairs)
    ours, before = load_model(tmp_path / "out")[0], load_model(pairs)[0]
    assert low_rank_of(ours) == low_rank_of(before)
    check_runs(tmp_path / "out")


@pytest.mark.parametrize(
    ("method", "params"),
    [("palette", {"bits": 2}), ("hashed", {})],
)
def test_healing_moves_the_values_and_nothing_of_their_places(
    tmp_path: Path, method: str, params: dict[str, Any]
) -> None:
    """Weights that shared a value still share one; the loss is lower than before."""
    still = {"heal": QUICK | {"lr": 1e-30, "steps": 1}} if method == "hashed" else {}
    compressed(method, params | still, tmp_path / "still")
    found, _ = compressed(method, params | {"heal": QUICK}, tmp_path / "healed")
    assert found["loss_held_out_nats"] < found["unhealed_loss_held_out_nats"]
    assert {"control_loss_held_out_nats", "quality_loss_nats"} <= set(found)
    before, after = matrices(tmp_path / "still"), matrices(tmp_path / "healed")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    for name, weight in after.items():
        pairs = torch.stack([before[name].ravel(), weight.ravel()]).unique(dim=1)
        assert pairs.shape[1] == len(before[name].unique()), name
    embeddings = [
        weights_of(tmp_path / n)["model.embed_tokens.weight"] for n in ("still", "healed")
    ]
    assert torch.equal(*embeddings) == (method == "palette")


@pytest.mark.parametrize("method", ["palette", "hashed"])
def test_the_same_job_gives_the_same_bytes(tmp_path: Path, method: str) -> None:
    """Healed, too; codebooks of groups of rows."""
    asked: dict[str, Any] = {"heal": QUICK | {"steps": 2}}
    asked |= {"group_rows": 16, "bits": 2} if method == "palette" else {}
    for name in "ab":
        compressed(method, asked, tmp_path / name)
    a, b = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert a == b


def test_the_gradient_of_a_value_is_the_sum_over_its_weights() -> None:
    """With their signs."""
    linear = torch.nn.Linear(2, 2, bias=False)
    index = torch.tensor([[0, 1], [0, 0]])
    sign = torch.tensor([[1.0, 1.0], [-1.0, 0.0]])
    share_weight(linear, Shared(torch.tensor([2.0, 3.0]), index, sign))
    assert linear.weight.tolist() == [[2.0, 3.0], [-2.0, 0.0]]
    linear(torch.tensor([[1.0, 10.0]])).backward(torch.tensor([[1.0, 100.0]]))
    assert linear.weight_values.grad.tolist() == [1.0 - 100.0, 10.0]
    assert unshare_weight(linear).tolist() == [2.0, 3.0]
    assert [name for name, _ in linear.named_parameters()] == ["weight"]
    assert not linear._forward_pre_hooks


def test_hashed_values_begin_as_the_means_of_their_weights() -> None:
    """The least squares: no other values are nearer to the matrix."""
    from upkeep.compression.weight_sharing import HashedParams, plan_hashed

    weight = torch.randn(8, 12, generator=torch.Generator().manual_seed(1))
    shared, _ = plan_hashed(weight, HashedParams(share=0.25))
    best = (shared.matrix - weight).square().sum()
    for place in range(len(shared.values)):
        nudged = shared.values.clone()
        nudged[place] += 0.01
        assert (shared._replace(values=nudged).matrix - weight).square().sum() >= best


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("palette", {"bits": 9}, "bits: 9"),
        ("palette", {"bits": 0}, "bits: 0"),
        ("palette", {"bits": 4.0}, "bits: 4.0"),
        ("palette", {"group_rows": 0}, "group_rows: 0"),
        ("hashed", {"share": 1.0}, "share: 1.0"),
        ("hashed", {"share": 0.0001}, "share: 0.0001"),
        ("hashed", {"heal": None}, "heal"),
        ("hashed", {"bits": 4}, "bits"),
    ],
)
def test_params_out_of_range_are_refused_before_anything_is_read(
    tmp_path: Path, method: str, params: dict[str, Any], said: str
) -> None:
    """Even the champion is not looked for."""
    with pytest.raises(ParamError, match=said):
        compressed(method, params, tmp_path / "out", champion=tmp_path / "none")


def test_codebooks_larger_than_what_they_stand_for_are_not_used(tmp_path: Path) -> None:
    """A row of its own codebook: 256 values for 32 weights."""
    params = {"bits": 8, "embedding_bits": None, "group_rows": 1}
    with pytest.raises(ParamError, match="no candidate: no matrix is smaller"):
        compressed("palette", params, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_hashed_is_trained_and_so_needs_texts(tmp_path: Path) -> None:
    """A palette does not."""
    with pytest.raises(ParamError, match="healing is calibrated"):
        compressed("hashed", {}, tmp_path / "out", samples=[])
    compressed("palette", {}, tmp_path / "out", samples=[])


def test_embeddings_that_are_not_tied_are_both_packed(tmp_path: Path) -> None:
    """The last layer is a matrix of its own there."""
    compressed("palette", {}, tmp_path / "out", champion=tiny_llama())
    declaration = declared(tmp_path / "out")
    assert declaration is not None
    assert {"model.embed_tokens.weight", "lm_head.weight"} <= set(declaration.packed)


def test_a_sixteen_bit_champion_stays_at_sixteen_bits(tmp_path: Path) -> None:
    """Whatever is left plain, and the codebooks."""
    from safetensors.torch import load_file, save_file

    source = tmp_path / "half"
    save_model(load_model(learnt_llama())[0], learnt_llama(), source)
    state = load_file(source / "model.safetensors")
    halves = {name: w.to(torch.bfloat16) for name, w in state.items()}
    save_file(halves, source / "model.safetensors", metadata={"format": "pt"})
    compressed("palette", {}, tmp_path / "out", champion=source)
    compressed("prune-layers", {"layers": 1}, tmp_path / "less", champion=source)
    for folder in ("out", "less"):
        assert {kind for kind, _ in signature(tmp_path / folder).values()} == {"BF16"}
        assert json.loads((tmp_path / folder / "config.json").read_text())["dtype"] == "bfloat16"
        check_runs(tmp_path / folder)
