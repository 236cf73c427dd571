"""Planted idle blocks are found; a model whose blocks all work is left alone."""

from __future__ import annotations

import pytest
from fakes.reviewed_model import PLANTED_BLOCKS, Case, lazy_llama, samples_of
from fakes.tiny_model import tiny_llama

from upkeep.block_influence import blocks_of
from upkeep.errors import ArtifactError
from upkeep.inspections import architecture
from upkeep.pretrained import load_model
from upkeep.records import ReviewFinding, Uninspected


def found(case: Case) -> list[ReviewFinding]:
    made = architecture.review(case.material())
    assert all(isinstance(each, ReviewFinding) for each in made), made
    return [each for each in made if isinstance(each, ReviewFinding)]


def test_two_blocks_that_do_nothing_are_found() -> None:
    """Each by itself, with what leaving it out costs, and both together."""
    idle = [f for f in found(Case(folder=lazy_llama())) if f.severity == "advice"]
    assert [f.evidence["block"] for f in idle] == list(PLANTED_BLOCKS)
    for finding in idle:
        assert finding.rule == "redundant-block"
        assert float(finding.evidence["influence"]) < 1e-4
        assert float(finding.evidence["cka"]) > 0.999
        assert abs(float(finding.evidence["perplexity_change"])) < 0.01
        assert abs(float(finding.evidence["perplexity_change_all_redundant"])) < 0.01
        assert finding.action is not None
        assert f"block {finding.evidence['block']:.0f}" in finding.action
    assert "blocks 1, 3 together" in idle[0].what


def test_blocks_that_work_are_no_finding_above_a_note() -> None:
    """The least influence is told all the same."""
    made = found(Case())
    assert {f.severity for f in made} == {"note"}
    working = next(f for f in made if f.rule == "no-redundant-block")
    assert working.no_action_because is not None
    assert {"influence[0]", "influence[1]", "cka[0]", "cka[1]"} == set(working.evidence)


def test_a_block_of_low_influence_that_is_needed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Influence alone is no reason: the loss without it decides."""
    monkeypatch.setattr(architecture, "LOW_INFLUENCE", 2.0)
    tried = found(Case(folder=lazy_llama()))
    needed = [f for f in tried if f.rule == "low-influence-block"]
    assert [f.evidence["block"] for f in needed] == [2.0, 4.0]
    assert all(f.severity == "note" and f.no_action_because for f in needed)
    assert all(float(f.evidence["perplexity_change"]) > 0.05 for f in needed)


def test_parameters_and_flops_are_told_by_part() -> None:
    """tiny_llama: 320 x 32 embedding and head, two blocks of 32 wide; FLOPs are 2 a weight."""
    parts = next(f for f in found(Case()) if f.rule == "parts").evidence
    attention = 2 * (32 * 32 + 32 * 16 + 32 * 16 + 32 * 32)
    mlp = 2 * 3 * 32 * 64
    assert (parts["parameters_embedding"], parts["parameters_head"]) == (320 * 32, 320 * 32)
    assert (parts["parameters_attention"], parts["parameters_mlp"]) == (attention, mlp)
    assert parts["parameters_other"] == 5 * 32
    assert parts["flops_per_token_head"] == 2 * 320 * 32
    assert parts["flops_per_token_mlp"] == 2 * mlp
    assert float(parts["flops_per_token_attention"]) > 2 * attention, "and the scores"
    total = sum(float(v) for n, v in parts.items() if n.startswith("flops_per_token_"))
    assert total == pytest.approx(float(parts["flops_per_token"]))


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (Case(folder=None), "no safetensors form"),
        (Case(evaluation=[]), "no two tokens"),
        (Case(evaluation=[samples_of(1, 1)[0].model_copy(update={"prompt": "", "reference": ""})]),
         "no two tokens"),
    ],
)  # fmt: skip
def test_what_cannot_be_looked_at_is_said(case: Case, why: str) -> None:
    """It is not taken for sound."""
    [unknown] = architecture.review(case.material())
    assert isinstance(unknown, Uninspected)
    assert why in unknown.words


def test_one_text_bounds_nothing_and_drops_no_block() -> None:
    """An interval that is not finite is no proof that a block is idle."""
    case = Case(folder=lazy_llama(), evaluation=samples_of(1, 1))
    assert {f.severity for f in found(case)} == {"note"}


def test_a_network_of_unknown_shape_is_said() -> None:
    """No list of as many blocks as the config says: nobody guesses which one it is."""
    model, _ = load_model(tiny_llama())
    model.config.num_hidden_layers = 3
    with pytest.raises(ArtifactError, match="0 lists of 3 blocks"):
        blocks_of(model)
