"""Champion and candidate on the same classes and seeds: losses, sets, times."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.tiny_painter import halves_extractor, requests, spots, tiny_painter

from upkeep import gate_quality, worker
from upkeep.compression import compression
from upkeep.errors import ArtifactError, ParamError
from upkeep.image_benchmark import Real, paired_losses
from upkeep.image_sets import held_out_images, is_held_out
from upkeep.model_files import format_of
from upkeep.pictures import pack, put_file
from upkeep.records import Benchmark, JobSpec, ModelInput
from upkeep.samples import put_samples
from upkeep.store import Store, open_store

DAY = date(2026, 3, 5)
QUICK = {"rounds": 6, "warmup_rounds": 1, "prompts": 2, "draws": 3, "threads": 1}


def model_in(store: Store, version: str, folder: Path) -> ModelInput:
    kept = store.put_folder(f"spots/versions/{version}", folder)
    return ModelInput(version=version, format=format_of(folder), folder=kept)


def job_of(store: Store, candidate: Path, **changes: Any) -> JobSpec:
    """A benchmark of the tiny painter against ``candidate``."""
    references = put_file(store, "spots/references.parquet", pack(spots(120)))
    fields: dict[str, Any] = {
        "key": "spots/2026-03-05/compress-benchmark",
        "kind": "benchmark",
        "model": "spots",
        "day": DAY,
        "method": "interleaved",
        "source": model_in(store, "1", tiny_painter()),
        "candidate": model_in(store, "candidate", candidate),
        "data": {
            "evaluation": put_samples(store, "spots/evaluation.jsonl", requests(40)),
            "references": references,
        },
        "tools": {"features": store.put_folder("models/tools/features", halves_extractor()[0])},
        "params": QUICK,
        "store_root": store.root,
        "output_prefix": "spots/2026-03-05/r1/jobs/compress-benchmark",
        "resources": {"cpus": 1},
    }
    return JobSpec.model_validate(fields | changes)


def run(tmp_path: Path, job: JobSpec) -> Benchmark:
    found = worker.run(job, tmp_path / "cache")
    assert isinstance(found, Benchmark)
    return found


def test_a_candidate_that_paints_the_same_has_lost_nothing(tmp_path: Path) -> None:
    """Fused norms: the loss of every sample is the champion's; sizes, times and sets are there."""
    out, store = tmp_path / "fused", open_store(str(tmp_path / "store"))
    compression("fuse-batch-norm")(tiny_painter(), (), "fuse-batch-norm", {}, out)
    found = run(tmp_path, job_of(store, out, params=QUICK | {"concurrency": 2}))
    (scores,) = found.scores
    assert (scores.measure, scores.direction) == ("energy_score", "lower_is_better")
    np.testing.assert_allclose(scores.champion, scores.candidate, atol=1e-3)
    assert min(scores.champion) > 0.0
    assert scores.sample_ids == tuple(sample.id for sample in requests(40))
    assert set(scores.slices) == {"a", "b"}
    names = ["latency_ms", "concurrent_latency_ms", "concurrent_ms_per_token"]
    assert [times.quantity for times in found.times] == names
    assert {len(times.champion_ms) for times in found.times} == {6}
    assert found.set_scores["kid"][0] == pytest.approx(found.set_scores["kid"][1], abs=1e-4)
    assert found.candidate_size_bytes == sum(f.stat().st_size for f in out.iterdir())
    assert found.machine["candidate_precision"].startswith("weights float32, eager torch")
    harm = gate_quality.paired_samples(scores).harm(0.95)
    assert harm.bounded
    assert abs(harm.value) < 1e-4


def test_batches_are_timed_as_batches(tmp_path: Path) -> None:
    """Of image models every format answers many requests at once."""
    store = open_store(str(tmp_path / "store"))
    params = QUICK | {"concurrency": 3, "serving": "batch"}
    found = run(tmp_path, job_of(store, tiny_painter(1), params=params))
    assert [t.quantity for t in found.times][1:] == [
        "concurrent_latency_ms",
        "concurrent_ms_per_token",
    ]
    worse = gate_quality.paired_samples(found.scores[0]).harm(0.95)
    assert abs(worse.value) > 0.01, "another generator is another quality"


def test_classes_are_judged_by_their_own_real_images() -> None:
    """A model that swaps two classes paints no image that is unlike all real ones, and loses."""
    draw = np.random.default_rng(0)
    left, right = draw.normal(0, 1, (60, 4, 2)), draw.normal(8, 1, (60, 4, 2))
    labels = [n % 2 for n in range(60)]
    right_way = np.where(np.array(labels)[:, None, None] == 0, left, right)
    swapped = np.where(np.array(labels)[:, None, None] == 0, right, left)
    real = Real(np.concatenate([left[:, 0], right[:, 0]]), np.repeat([0, 1], 60))
    scores = paired_losses(requests(60), labels, [right_way, swapped], real)
    assert np.mean(scores.candidate) > 3 * np.mean(scores.champion)
    with pytest.raises(ParamError, match=r"class 1.*has no held-out real image"):
        paired_losses(requests(60), labels, [right_way, swapped], Real(left[:, 0], np.zeros(60)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tools": {}}, "needs real images and what extracts features"),
        ({"params": {"draws": 1}}, "params.draws"),
        ({"params": {"drows": 4}}, "did you mean draws"),
    ],
)
def test_what_is_missing_or_wrong_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """An unknown is never a pass."""
    store = open_store(str(tmp_path / "store"))
    with pytest.raises(ParamError, match=said):
        run(tmp_path, job_of(store, tiny_painter(1), **change))
    alone = job_of(store, tiny_painter(1)).model_copy(update={"candidate": None})
    with pytest.raises(ParamError, match="name the model to compare with"):
        run(tmp_path, alone)


def test_a_prompt_of_no_class_is_refused(tmp_path: Path) -> None:
    """A sample that cannot be painted is not left out in silence."""
    store = open_store(str(tmp_path / "store"))
    odd = requests(3)[0].model_copy(update={"id": "odd", "prompt": "a dog"})
    data = job_of(store, tiny_painter(1)).data
    data["evaluation"] = put_samples(store, "spots/odd.jsonl", [*requests(30), odd])
    with pytest.raises(ParamError, match=r"'a dog'.*none of the 2 prompts"):
        run(tmp_path, job_of(store, tiny_painter(1), data=data))


def test_models_of_other_seeds_are_not_compared(tmp_path: Path) -> None:
    """Equal seeds mean nothing where latent numbers are more."""
    import torch
    from fakes.tiny_painter import declared

    from upkeep.network_layers import GeneratorConfig
    from upkeep.networks import build, save_network

    torch.manual_seed(0)
    config = GeneratorConfig.model_validate(declared(latent=5))
    save_network(build(config), config, tmp_path / "five")
    store = open_store(str(tmp_path / "store"))
    with pytest.raises(ArtifactError, match=r"candidate's latent.*5"):
        run(tmp_path, job_of(store, tmp_path / "five"))


def test_three_in_ten_real_images_judge_and_are_always_the_same() -> None:
    """By content: neither a day nor the others beside them decides."""
    images = spots(400)
    held = held_out_images(images)
    assert 80 < len(held) < 160
    fewer = dict(list(images.items())[:200])
    assert set(held_out_images(fewer)) == {name for name in fewer if name in held}
    with pytest.raises(ParamError, match="holds no image to judge by"):
        held_out_images({name: png for name, png in images.items() if not is_held_out(name)})
