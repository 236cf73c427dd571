"""Pairs of thin matrices: as good as promised, smaller, and kept as pairs."""

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
    logits_of,
    made,
    marked_sentences,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from upkeep.compression.decoder_parts import matrices_of
from upkeep.compression.low_rank import find_spectra, put_pairs
from upkeep.compression.ranks import by_error, by_share, least_error
from upkeep.compression.spectrum import Spectrum, spectrum_of
from upkeep.compression.texts import TextParams, Texts, texts_of
from upkeep.errors import ArtifactError, ParamError
from upkeep.formats.safetensors import signature
from upkeep.pretrained import load_model, low_rank_of

HALF = '{"parameter_share": 0.6}'
METHODS = ["low-rank-svd", "low-rank-activation"]


def model() -> Any:
    """Give a fresh copy of the learnt model."""
    return load_model(learnt_llama())[0]


def texts() -> Texts:
    """The texts as the methods see them."""
    learnt, tokenizer = load_model(learnt_llama())
    found = texts_of(learnt, tokenizer, marked_sentences(), TextParams(block_tokens=32))
    assert found is not None
    return found


def problem(seed: int = 0, rows: int = 10, columns: int = 14) -> tuple[Any, Any]:
    """A matrix, and inputs of uneven directions."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    scales = torch.logspace(0, -3, columns, dtype=torch.float64)
    return weight, torch.randn(200, columns, generator=generator, dtype=torch.float64) * scales


def relative(weight: Any, factors: tuple[Any, Any], inputs: Any) -> float:
    """||X (W - B A)^T|| / ||X W^T||."""
    narrow, wide = factors
    return float((inputs @ (weight - wide @ narrow).T).norm() / (inputs @ weight.T).norm())


@pytest.mark.parametrize("activation", [False, True])
def test_at_full_rank_the_network_is_the_original(activation: bool) -> None:  # noqa: FBT001
    """Every matrix a pair, no error."""
    factorised = model()
    spectra = find_spectra(factorised, texts() if activation else None)
    assert set(spectra) == set(matrices_of(model()))
    errors = put_pairs(factorised, spectra, {name: len(s.values) for name, s in spectra.items()})
    assert max(errors) < 1e-7
    assert len(low_rank_of(factorised)) == 21
    assert torch.allclose(logits_of(factorised), logits_of(model()), atol=1e-3)


@given(st.integers(0, 30), st.integers(1, 10), st.booleans())
@settings(max_examples=30)
def test_the_error_that_is_told_is_the_error_on_the_inputs(
    seed: int,
    rank: int,
    activation: bool,  # noqa: FBT001
) -> None:
    """Of the matrix itself, or of its outputs; to the damping."""
    weight, inputs = problem(seed)
    gram = inputs.T @ inputs if activation else None
    spectrum = spectrum_of(weight, gram)
    seen = inputs if activation else torch.eye(14, dtype=torch.float64)
    found = relative(weight, spectrum.factors(rank), seen)
    assert found == pytest.approx(float(spectrum.errors()[rank]), abs=2e-3)


@given(st.integers(0, 30), st.integers(1, 9))
@settings(max_examples=30)
def test_knowing_the_inputs_gives_better_outputs_at_the_same_rank(seed: int, rank: int) -> None:
    """It is the best of that rank for these inputs."""
    weight, inputs = problem(seed)
    aware = spectrum_of(weight, inputs.T @ inputs).factors(rank)
    plain = spectrum_of(weight, None).factors(rank)
    assert relative(weight, aware, inputs) < relative(weight, plain, inputs)


def test_inputs_that_are_never_seen_leave_it_solvable() -> None:
    """A dead input, and two that are always the same."""
    weight, inputs = problem()
    inputs[:, 3] = 0.0
    inputs[:, 5] = inputs[:, 6]
    spectrum = spectrum_of(weight, inputs.T @ inputs)
    narrow, wide = spectrum.factors(10)
    assert narrow.isfinite().all()
    assert relative(weight, (narrow, wide), inputs) < 1e-3


@given(st.integers(0, 30), st.floats(0.05, 0.9))
@settings(max_examples=30)
def test_the_rank_of_an_error_budget_is_the_lowest_that_keeps_it(seed: int, error: float) -> None:
    """And none is chosen that does not pay."""
    spectra = {f"m{i}": spectrum_of(problem(seed + i)[0], None) for i in range(3)}
    ranks = by_error(spectra, error)
    for name, spectrum in spectra.items():
        errors = spectrum.errors()
        if name in ranks:
            rank = ranks[name]
            assert errors[rank] <= error
            assert rank == 1 or errors[rank - 1] > error
            assert rank * (10 + 14) < 10 * 14
        else:
            assert errors[spectrum.paying] > error


@given(st.integers(0, 30), st.floats(0.2, 0.95))
@settings(max_examples=30)
def test_a_share_of_the_weights_is_kept_and_nearly_used_up(seed: int, share: float) -> None:
    """The next rank that mends most would be too much."""
    spectra = {f"m{i}": spectrum_of(problem(seed + i)[0], None) for i in range(4)}
    ranks = by_share(spectra, share)
    whole = sum(s.size for s in spectra.values())
    cost = sum(ranks[n] * s.step if n in ranks else s.size for n, s in spectra.items())
    if not ranks:
        assert sum(s.step for s in spectra.values()) > share * whole or cost <= share * whole
        return
    assert cost <= share * whole
    assert cost > share * whole - 2 * 24 - 140


def test_ranks_go_where_they_mend_most() -> None:
    """A matrix of rank one gets one, a full one the rest."""
    thin = spectrum_of(torch.outer(torch.arange(1.0, 11.0), torch.ones(14)), None)
    ranks = by_share({"thin": thin, "full": spectrum_of(problem()[0], None)}, 0.5)
    assert ranks == {"thin": 1, "full": 4}


def test_a_matrix_of_zeros_gets_rank_one() -> None:
    """Nothing is divided by nothing."""
    nothing = Spectrum(torch.zeros(10, 10), torch.zeros(10), torch.zeros(10, 14))
    assert by_error({"m": nothing}, 0.1) == {"m": 1}
    assert by_share({"m": nothing}, 0.5) == {"m": 1}
    assert least_error({}) == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_pairs_stay_pairs_on_disk_and_in_memory(method: str) -> None:
    """Two thin matrices each, named in config.json, fewer weights than before."""
    folder, found, notes = made(method, HALF)
    loaded = load_model(folder)[0]
    ranks = low_rank_of(loaded)
    assert len(ranks) == found["factorised_matrices"] > 0
    stored = signature(folder)
    for name, rank in ranks.items():
        linear = model().get_submodule(name)
        assert stored[f"{name}.narrow.weight"][1] == (rank, linear.in_features)
        assert stored[f"{name}.wide.weight"][1] == (linear.out_features, rank)
        assert f"{name}.weight" not in stored
    counts = [sum(p.numel() for p in one.parameters()) for one in (model(), loaded)]
    assert [found["parent_parameters"], found["parameters"]] == counts
    pruned = sum(m.weight.numel() for m in matrices_of(model()).values())
    assert counts[1] <= counts[0] - 0.4 * pruned
    assert found["parent_size_bytes"] - found["size_bytes"] > 3.5 * (counts[0] - counts[1]) - 4000
    assert "matrices are pairs" in notes[0]
    check_runs(folder)


def test_the_loaded_network_is_the_one_that_was_judged() -> None:
    """The loss of the folder is the loss of the record."""
    from upkeep.compression.texts import loss_nats

    folder, found, _ = made("low-rank-activation", HALF)
    loss = loss_nats(load_model(folder)[0], texts().held_out)
    assert loss == pytest.approx(found["loss_held_out_nats"], abs=1e-5)
    assert found["quality_loss_nats"] == pytest.approx(
        loss - found["champion_loss_held_out_nats"], abs=1e-5
    )


def test_knowing_the_texts_loses_less_on_them() -> None:
    """At the same number of weights, on texts that were held out."""
    losses = [made(method, HALF)[1]["loss_held_out_nats"] for method in METHODS]
    assert losses[1] < losses[0]


def test_a_bias_stays(tmp_path: Path) -> None:
    """It is the second matrix' own."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from upkeep.pretrained import save_model

    config = LlamaConfig.from_pretrained(learnt_llama(), attention_bias=True)
    biased = LlamaForCausalLM(config).eval()
    for linear in matrices_of(biased).values():
        if linear.bias is not None:
            torch.nn.init.normal_(linear.bias)
    save_model(biased, learnt_llama(), tmp_path / "m")
    compressed("low-rank-svd", {"error": 0.6}, tmp_path / "out", champion=tmp_path / "m")
    pair = load_model(tmp_path / "out")[0].model.layers[0].self_attn.q_proj
    assert torch.equal(pair.wide.bias, biased.model.layers[0].self_attn.q_proj.bias)


def test_healing_trains_the_pairs(tmp_path: Path) -> None:
    """Beside the control."""
    asked = {"parameter_share": 0.4, "heal": QUICK}
    found, _ = compressed("low-rank-svd", asked, tmp_path / "a")
    assert found["loss_held_out_nats"] < found["unhealed_loss_held_out_nats"] - 0.05
    assert found["control_loss_held_out_nats"] > 0


@pytest.mark.parametrize("method", METHODS)
def test_the_same_job_gives_the_same_bytes(tmp_path: Path, method: str) -> None:
    """Whatever was done before in the process."""
    compressed(method, json.loads(HALF), tmp_path / "b")
    a, b = ((f / "model.safetensors").read_bytes() for f in (made(method, HALF)[0], tmp_path / "b"))
    assert a == b


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "give one of error and parameter_share"),
        ({"error": 0.1, "parameter_share": 0.5}, "give one of error and parameter_share"),
        ({"error": 0.0}, "error: 0.0"),
        ({"parameter_share": 1.0}, "parameter_share: 1.0"),
        ({"rank": 4}, "rank"),
    ],
)
def test_params_out_of_range_are_refused_before_anything_is_read(
    tmp_path: Path, params: dict[str, Any], said: str
) -> None:
    """Even the champion is not looked for."""
    with pytest.raises(ParamError, match=said):
        compressed("low-rank-svd", params, tmp_path / "out", champion=tmp_path / "none")


def test_a_budget_that_cannot_be_met_gives_no_candidate_and_says_the_nearest(
    tmp_path: Path,
) -> None:
    """The error at which the first matrix would become smaller; and there it does."""
    with pytest.raises(ParamError, match=r"no candidate.*nearest error is 0\.\d+") as raised:
        compressed("low-rank-svd", {"error": 0.001}, tmp_path / "out")
    near = float(str(raised.value).rsplit(" ", 1)[1])
    found, _ = compressed("low-rank-svd", {"error": near + 0.001}, tmp_path / "out")
    assert found["factorised_matrices"] >= 1
    with pytest.raises(ParamError, match="no candidate"):
        compressed("low-rank-svd", {"parameter_share": 0.01}, tmp_path / "none")


def test_what_is_of_low_rank_already_is_refused_and_texts_are_needed(tmp_path: Path) -> None:
    """A pair within a pair would be larger."""
    with pytest.raises(ArtifactError, match="is of low rank already"):
        compressed(
            "low-rank-svd", {"error": 0.5}, tmp_path / "o", champion=made("low-rank-svd", HALF)[0]
        )
    with pytest.raises(ParamError, match="low-rank-activation is calibrated"):
        compressed("low-rank-activation", {"error": 0.5}, tmp_path / "o", samples=[])
