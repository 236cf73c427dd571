"""A GAN and a VAE learn further from real images, and never from those that judge them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.tiny_model import _root
from fakes.tiny_painter import declared, halves_extractor, requests, spots, tiny_painter

from upkeep import image_objectives, worker
from upkeep.compression import compression
from upkeep.errors import ArtifactError, ParamError
from upkeep.image_objectives import Objective, both_task, pair_of
from upkeep.image_sets import is_held_out
from upkeep.image_training import ImageTrainParams, _learn_alone, retrain, sets_of
from upkeep.model_files import check_model_folder, check_same_signature
from upkeep.network_layers import GeneratorConfig
from upkeep.networks import build, load_network, read_config, save_network
from upkeep.pictures import Pictures, pack, put_file
from upkeep.quality.features import Extractor
from upkeep.records import Candidate, JobSpec, ModelInput
from upkeep.samples import put_samples
from upkeep.store import open_store

OBJECTIVES: tuple[Objective, ...] = ("gan", "vae")
FEW: Mapping[str, Any] = {
    "steps": 60,
    "lr": 4e-3,
    "batch_blocks": 32,
    "partner_steps": 20,
    "width": 8,
    "averaged_steps": 5,
    "check_every": 20,
    "threads": 1,
}


def pictures(count: int = 240) -> Pictures:
    return Pictures({}, spots(count), halves_extractor())


@cache
def untrained() -> Path:
    """A generator as the seed gives it: it has everything to learn."""
    torch.manual_seed(0)
    config = GeneratorConfig.model_validate(declared())
    folder = _root() / "untrained"
    save_network(build(config), config, folder)
    return folder


def learnt(out: Path, objective: Objective, champion: Path | None = None, **changes: Any) -> Any:
    settings = {"objective": objective, **FEW} | changes
    work = settings.pop("work", None)
    return retrain(champion or untrained(), pictures(), settings, out, work, "job")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_training_brings_images_nearer_to_real_ones(tmp_path: Path, objective: Objective) -> None:
    """KID to held-out real images falls; what is written is a model of the same signature."""
    numbers, notes = learnt(tmp_path, objective)
    assert numbers["kid_after"] < 0.5 * numbers["kid_before"]
    assert numbers["kid_after"] == numbers[f"loss_held_out[{int(numbers['kept_step'])}]"]
    assert "tokens" not in numbers
    check_model_folder(tmp_path, "safetensors")
    check_same_signature(untrained(), tmp_path)
    assert notes[0].startswith(f"{objective}: ")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_training_that_makes_nothing_better_leaves_the_champion(
    tmp_path: Path, objective: Objective
) -> None:
    """Also its batch norm's statistics, which the partner's training must not move."""
    changes = {"steps": 2, "check_every": 1, "lr": 1e-9, "averaged_steps": 100_000}
    learnt(tmp_path, objective, tiny_painter(), **changes)
    before, after = load_network(tiny_painter())[0], load_network(tmp_path)[0]
    for name, value in before.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(after.state_dict()[name], value, atol=1e-3, rtol=1e-3)


def test_what_judges_is_never_trained_on() -> None:
    """Neither are those that decide when to stop among those that are learnt from."""
    config, extractor = read_config(untrained()), Extractor(halves_extractor()[0])
    references = spots(240)
    sets = sets_of(references, config, extractor, 16)
    free = sum(not is_held_out(name) for name in references)
    assert len(sets.training) + len(sets.stopping) <= free
    assert len(sets.stopping) % 16 == 0
    held = {name: png for name, png in references.items() if is_held_out(name)}
    judging = sets_of({f"x{n}": png for n, png in enumerate(held.values())}, config, extractor, 4)
    rows = {tuple(row.tolist()) for part in sets for row in part}
    assert not rows & {tuple(row.tolist()) for part in judging for row in part}
    halves = sets.training[:, 2:].view(-1, 8, 8)
    brighter = (halves[:, :, 4:].sum(dim=(1, 2)) > halves[:, :, :4].sum(dim=(1, 2))).float()
    assert torch.equal(sets.training[:, 1], brighter), "the class is what the extractor sees"


def test_a_critic_is_bounded_and_the_average_follows() -> None:
    """The critic's slope is at most 1 a layer; one step moves the average by a share."""
    config, extractor = read_config(untrained()), Extractor(halves_extractor()[0])
    pair = pair_of(load_network(untrained())[0], config, "gan", 8)
    weight = pair["partner"]["real"].weight
    for _ in range(20):
        pair["partner"].train()
        weight = pair["partner"]["real"].weight
    assert float(torch.linalg.matrix_norm(weight.detach(), 2)) == pytest.approx(1.0, abs=0.05)
    assert not list(pair["kept"].parameters())
    with torch.no_grad():
        pair["generator"].layers[0].weight.add_(1.0)
    before = pair["kept"].layers[0].weight.clone()
    after = both_task("gan", config, extractor, 4).after
    assert after is not None
    after(pair)
    torch.testing.assert_close(pair["kept"].layers[0].weight, before + 0.25)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_partner_learns_against_a_champion_that_stays_as_it_is(objective: Objective) -> None:
    """Weights and statistics of the champion's side do not move; the partner's loss falls."""
    network, config = load_network(tiny_painter())
    sets = sets_of(spots(120), config, Extractor(halves_extractor()[0]), 16)
    settings = ImageTrainParams.model_validate({"objective": objective, **FEW})
    pair = pair_of(network, config, objective, 8)
    before = {name: value.clone() for name, value in pair.state_dict().items()}
    done = _learn_alone(pair, config, sets, settings)
    assert done.kept.held_out < done.curve[0].held_out
    moved = {n.split(".")[0] for n, v in pair.state_dict().items() if not torch.equal(v, before[n])}
    assert moved == {"partner"}


class Killed(Exception):
    """The process ends here."""


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_killed_training_comes_to_the_same_model(
    tmp_path: Path, objective: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its checkpoint: both optimisers, the average and the random numbers go on."""
    changes = {"steps": 12, "check_every": 6, "checkpoint_steps": 4, "patience": 9}
    learnt(tmp_path / "whole", objective, **changes)
    follow, steps = image_objectives.follow, []

    def dies(pair: Any, averaged: int) -> None:
        steps.append(1)
        if len(steps) == 10:
            raise Killed
        follow(pair, averaged)

    with monkeypatch.context() as patch:
        patch.setattr(image_objectives, "follow", dies)
        with pytest.raises(Killed):
            learnt(tmp_path / "no", objective, work=tmp_path / "work", **changes)
    _, notes = learnt(tmp_path / "resumed", objective, work=tmp_path / "work", **changes)
    assert "resumed after step 8" in notes
    whole, resumed = (load_network(tmp_path / name)[0] for name in ("whole", "resumed"))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)


@pytest.mark.parametrize(
    ("params", "seen", "said"),
    [
        ({}, pictures(), "params.objective"),
        ({"objective": "diffusion"}, pictures(), "'gan' or 'vae'"),
        ({"objective": "gan"}, None, "needs real images"),
        ({"objective": "gan"}, Pictures({}, spots(20)), "needs real images"),
        ({"objective": "gan"}, pictures(3), "too few to learn from"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    tmp_path: Path, params: dict[str, Any], seen: Pictures | None, said: str
) -> None:
    """Before anything is written."""
    with pytest.raises(ParamError, match=said):
        retrain(untrained(), seen, params, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    """They are not resized in silence: the model would learn the resizing."""
    from fakes.pictures import named, noise

    with pytest.raises(ArtifactError, match="is not 8 x 8"):
        retrain(
            untrained(),
            Pictures({}, named(noise(60)), halves_extractor()),
            {"objective": "gan"},
            tmp_path,
        )


def job_of(root: Path, method: str, champion: Path) -> JobSpec:
    store = open_store(str(root / "store"))
    return JobSpec(
        key="spots/2026-03-05/retrain",
        kind="retrain",
        model="spots",
        day=date(2026, 3, 5),
        method=method,
        source=ModelInput(
            version="1",
            format="safetensors",
            folder=store.put_folder("spots/versions/1", champion),
        ),
        data={
            "training": put_samples(store, "spots/training.jsonl", requests(20)),
            "evaluation": put_samples(store, "spots/evaluation.jsonl", requests(20)),
            "references": put_file(store, "spots/references.parquet", pack(spots(240))),
        },
        tools={"features": store.put_folder("models/tools/features", halves_extractor()[0])},
        params={"objective": "vae", **FEW, "steps": 5, "check_every": 5},
        store_root=store.root,
        output_prefix="spots/2026-03-05/r1/jobs/retrain",
    )


def test_the_worker_retrains_an_image_model(tmp_path: Path) -> None:
    """The candidate, its curve and its events are in the store; nothing of texts is asked for."""
    made = worker.run(job_of(tmp_path, "full", untrained()), tmp_path / "cache")
    assert isinstance(made, Candidate)
    assert (made.kind, made.format, made.parent_version) == ("retrain", "safetensors", "1")
    assert {"kid_before", "kid_after"} <= made.measurements.keys()
    assert made.events is not None
    assert not list((tmp_path / "cache").rglob("step-*")), "checkpoints go when the model is kept"


def test_low_rank_adapters_are_of_decoders(tmp_path: Path) -> None:
    """Said before a minute is trained."""
    with pytest.raises(ParamError, match=r"lora.*is of decoders"):
        worker.run(job_of(tmp_path, "lora", untrained()), tmp_path / "cache")


def test_a_fused_generator_can_still_be_trained(tmp_path: Path) -> None:
    """It has no batch norm any more; its signature stays its own."""
    compression("fuse-batch-norm")(tiny_painter(), (), "fuse-batch-norm", {}, tmp_path / "fused")
    learnt(tmp_path / "out", "gan", tmp_path / "fused", steps=3, check_every=3)
    check_same_signature(tmp_path / "fused", tmp_path / "out")
