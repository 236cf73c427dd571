"""The models themselves, really trained, on fewer steps than the example takes.

A third of the steps is enough for everything that is claimed here; the example's own figures are
better. Trained once for the whole file.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.digits import classifier, data, gan, painter, serve, traffic, train, vae
from examples.digits.painter import Kind
from tests.fakes.deployment import FakeDeployment, FakeEngine, make_deployment
from tests.fakes.tiny_model import scored
from upkeep import onboarding, promotion, worker
from upkeep.candidate import CandidateRoute
from upkeep.config import load_fleet
from upkeep.cycle import Cycle
from upkeep.day_records import read_day
from upkeep.deployment import Deployment
from upkeep.errors import ArtifactError, ParamError
from upkeep.model_files import check_model_folder
from upkeep.params import effective_params
from upkeep.pictures import Pictures, image_name, unpack
from upkeep.quality import Settings
from upkeep.quality.features import Extractor
from upkeep.records import DayOpen, JobSpec, LedgerEntry, Record, Sample
from upkeep.report_page import html
from upkeep.store import get_record, record_key

ROOT = Path(__file__).parents[3]
KINDS: tuple[Kind, ...] = ("gan", "vae")
FEWER = ((gan, "STEPS", 250), (vae, "STEPS", 200), (classifier, "EPOCHS", 9))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models, the classifier and the references."""
    out = tmp_path_factory.mktemp("tools") / "digits"
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in FEWER:
            patch.setattr(module, name, value)
        assert train.train(out, progress=said.append) == out
    assert any(words.startswith("gan: step 200 of 250") for words in said)
    return out


@pytest.fixture(scope="module")
def extractor(made: Path) -> Extractor:
    """The product's own reader of the classifier."""
    return Extractor(made / "features")


def painted(model: painter.Painter, count: int = 200) -> list[tuple[int, bytes]]:
    """Digits in turn, each with a handwriting of its own."""
    return [(i % 10, data.to_png(model.paint(i % 10, 1000 + i))) for i in range(count)]


def untrained(folder: Path, kind: Kind) -> painter.Painter:
    """The same network as the seed gives it."""
    import torch

    from examples.digits.networks import GAN, VAE
    from upkeep.networks import build

    torch.manual_seed(1)
    config = {"gan": GAN, "vae": VAE}[kind]
    painter.save(build(config), config, folder)
    return painter.load(folder, kind)


def score_of(name: str, made: Path, images: list[tuple[int, bytes]]) -> float:
    """A measure of the product over these images against the held-out digits."""
    samples = [
        Sample(id=f"{i:04d}", slice="all", prompt=data.prompt_of(d), completion=image_name(png))
        for i, (d, png) in enumerate(images)
    ]
    references = unpack("references", (made / "references.parquet").read_bytes())
    outputs = {image_name(png): png for _, png in images}
    pictures = Pictures(outputs, references, (made / "features", "0" * 64))
    return scored(name, samples, Settings(resamples=100), pictures=pictures).score


def agreement(extractor: Extractor, images: list[tuple[int, bytes]]) -> float:
    """The share of images that the classifier reads as the digit that was asked for."""
    read = [extractor.see({"image": png})[1] for _, png in images]
    return float(np.mean([int(np.argmax(r)) == d for r, (d, _) in zip(read, images, strict=True)]))


def test_the_classifier_reads_held_out_digits(extractor: Extractor) -> None:
    """At least 95 % of what it never saw, through the ONNX file and PNG."""
    _, held_out = data.load()
    images = [
        (int(d), data.to_png(i)) for d, i in zip(held_out.labels, held_out.images, strict=True)
    ]
    assert agreement(extractor, images) >= 0.95


def test_the_onnx_file_gives_what_the_network_gives(tmp_path: Path) -> None:
    """Features and logits of the same network, for any number of images."""
    import onnxruntime
    import torch

    from examples.digits.networks import Classifier

    torch.manual_seed(3)
    network = Classifier().train()
    images = torch.rand(50, 1, 8, 8)
    network(images)  # gives batch norm something to remember
    classifier.export(network.eval(), tmp_path / "features")
    session = onnxruntime.InferenceSession(tmp_path / "features" / "model.onnx")
    for count in (1, 2, 50):
        found = session.run(["features", "logits"], {"image": images[:count].numpy()})
        with torch.no_grad():
            expected = network(images[:count])
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
    assert [found[0].shape, found[1].shape] == [(50, 32), (50, 10)]


def test_the_onnx_file_says_nothing_of_the_machine(made: Path) -> None:
    """Else equal networks would have different hashes, and no scores could be compared."""
    content = (made / "features" / "model.onnx").read_bytes()
    assert b"networks.py" not in content
    assert str(ROOT).encode() not in content


def test_the_extractor_is_named_for_what_it_is(made: Path) -> None:
    """Nobody may take its FID for a published one."""
    config = json.loads((made / "features" / "config.json").read_bytes())
    assert "a classifier of the same digits" in config["description"]
    assert "not comparable with published FID" in config["description"]
    check_model_folder(made / "features", "onnx")


@pytest.mark.parametrize("kind", KINDS)
def test_training_makes_images_that_are_like_real_ones(
    made: Path, tmp_path: Path, kind: Kind
) -> None:
    """FID to held-out digits is less than a tenth of the untrained network's."""
    model, raw = painter.load(made / kind, kind), untrained(tmp_path / "raw", kind)
    before = score_of("fid", made, painted(raw, 120))
    assert score_of("fid", made, painted(model, 120)) < 0.1 * before


@pytest.mark.parametrize("kind", KINDS)
def test_a_generated_digit_is_the_one_that_was_asked_for(
    made: Path, extractor: Extractor, kind: Kind
) -> None:
    """For at least 80 % of requests the classifier agrees."""
    assert agreement(extractor, painted(painter.load(made / kind, kind))) >= 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_is_one_handwriting(made: Path, kind: Kind) -> None:
    """The same seed the same bytes, also from another copy; another seed, another image."""
    one, other = painter.load(made / kind, kind), painter.load(made / kind, kind)
    assert one.paint(7, 5).tobytes() == other.paint(7, 5).tobytes()
    assert len({data.to_png(one.paint(7, seed)) for seed in range(20)}) == 20
    with pytest.raises(ParamError, match="is no class"):
        one.paint(10, 0)


def test_the_generator_has_batch_norm(made: Path) -> None:
    """Its statistics lie in the file, and change what is painted."""
    from safetensors.numpy import load_file

    names = load_file(made / "gan" / "model.safetensors")
    assert sum(name.endswith("running_var") for name in names) == 2


def test_references_are_the_held_out_digits(made: Path) -> None:
    """Named by their content, and nothing that was trained on is among them."""
    packed = unpack("references", (made / "references.parquet").read_bytes())
    training, held_out = data.load()
    assert set(packed) == {image_name(data.to_png(image)) for image in held_out.images}
    assert not set(packed) & {image_name(data.to_png(image)) for image in training.images}


@pytest.mark.parametrize("kind", KINDS)
def test_the_planted_faults_are_seen_by_the_measures_that_are_for_them(
    made: Path, kind: Kind
) -> None:
    """FID rises for both; the collapse costs diversity, the blur the Inception score."""
    server = serve.Server(painter.load(made / kind, kind), kind, "1")

    def served(number: int) -> list[tuple[int, bytes]]:
        asked = traffic.requests(kind, number)[:160]
        rows = [server.answer((number, request)) for request in asked]
        return [
            (r.digit, server.images[row["completion"]]) for r, row in zip(asked, rows, strict=True)
        ]

    healthy, faulty = served(8), served(12)
    assert score_of("fid", made, faulty) > score_of("fid", made, healthy) + 0.6
    lowered = {"gan": "image_vendi", "vae": "inception_score"}[kind]
    assert score_of(lowered, made, faulty) < score_of(lowered, made, healthy)


def registered(
    made: Path, folder: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> tuple[FakeDeployment, LedgerEntry]:
    """A deployment with the example's fleet file, and version 1."""
    fleet = folder / "fleet"
    fleet.mkdir()
    shutil.copy(ROOT / "include/fleet/defaults.yaml", fleet)
    shutil.copy(ROOT / f"examples/digits/fleet/digits-{kind}.yaml", fleet)
    environ = {"UPKEEP_LOGS": str(folder / "logs"), "UPKEEP_TOOLS": str(made.parent)}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    places = replace(make_deployment(folder, fleet), fleet=load_fleet(fleet, environ))
    monkeypatch.setattr(Deployment, "from_env", classmethod(lambda cls: places))
    return places, onboarding.register_first(f"digits-{kind}", made / kind, "safetensors")


@pytest.mark.parametrize("kind", KINDS)
def test_upkeep_registers_the_folder(
    made: Path, tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As version 1, from the fleet file of the example, with every file kept."""
    check_model_folder(made / kind, "safetensors")
    places, entry = registered(made, tmp_path, kind, monkeypatch)
    champion = promotion.champion(places.store, f"digits-{kind}")
    assert champion is not None
    assert champion.version == entry.version == "1"
    kept = places.store.local_folder(champion.folder, places.cache)
    assert painter.load(kept, kind).paint(3, 1).shape == (8, 8)


class RealWork(FakeEngine):
    """An engine that does the worker's real work, in this process."""

    def _result(self, job: JobSpec) -> Record:
        return worker.run(job, self.workdir / "cache")


def test_a_day_of_images_goes_through_the_whole_cycle(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Served, collected, measured by the real worker, decided, and shown with its images."""
    places, _ = registered(made, tmp_path, "gan", monkeypatch)
    places = replace(places, fake_engine=RealWork(places.store, tmp_path / "work"))
    serve.serve_days(
        lambda: painter.load(made / "gan", "gan"), "gan", "1", [1], tmp_path / "logs/digits-gan"
    )
    model, day, cycle = "digits-gan", traffic.day_date(1), Cycle(places)
    asked = {"day": day.isoformat(), "models": [model]}
    cycle.start(effective_params(asked, [model], date(2026, 11, 1)), "run")
    assert cycle.observe(model, day).trusted
    found = cycle.evaluate(model, day)
    assert found is not None
    assert found.unmeasured == ()
    assert [r.measure for r in found.results] == ["fid", "kid", "inception_score", "image_vendi"]
    assert {s.name for r in found.results for s in r.slices} == {"forms", "postal"}
    decided = cycle.decide(model, day)
    assert (decided.action, decided.cause) == ("keep", "learning")
    cycle.report(model, day)
    page = html(read_day(places.store, model, day)).decode()
    assert page.count("data:image/png;base64,") == 40
    assert "<td>FID</td>" in page
    assert [asked for asked, _ in places.fake_door.asked] == [day]
    opened = get_record(places.store, record_key(model, day, "open"), DayOpen)
    assert opened is not None
    route = CandidateRoute(places, opened, "compress")
    rows = {row.check: row for row in route.gate().rows}
    assert route.run_job().format == "onnx"
    assert rows["quality energy_score"].passed, rows["quality energy_score"].words
    assert rows["precision energy_score"].passed
    assert rows["files measured"].passed


def test_a_model_of_the_other_kind_is_refused(made: Path) -> None:
    """Before a weight is read."""
    with pytest.raises(ArtifactError, match="is not digits-vae"):
        painter.load(made / "gan", "vae")


def test_weights_that_do_not_fit_their_config_are_refused(made: Path, tmp_path: Path) -> None:
    """Named with their file, without a traceback of PyTorch's."""
    shutil.copytree(made / "gan", tmp_path / "gan")
    config = tmp_path / "gan" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"latent": 17}))
    with pytest.raises(ArtifactError, match="does not fit its config"):
        painter.load(tmp_path / "gan", "gan")


def test_a_pickle_beside_the_weights_is_refused(made: Path, tmp_path: Path) -> None:
    """The loader looks at the whole folder, as the product does."""
    shutil.copytree(made / "gan", tmp_path / "gan")
    (tmp_path / "gan" / "optimizer.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(ArtifactError, match="pickle"):
        painter.load(tmp_path / "gan", "gan")


def test_the_command_line_serves_a_day(made: Path, tmp_path: Path) -> None:
    """The two kinds into folders of their own."""
    for kind in KINDS:
        given = {"model": made / kind, "kind": kind, "version": "3", "out": tmp_path / kind}
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        serve.main([*words, "--days", "3"])
        lines = (tmp_path / kind / "2026-03-07" / "10.jsonl").read_bytes().splitlines()
        assert {json.loads(line)["model_version"] for line in lines} == {"3"}


def test_a_finished_training_is_adopted(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a second of work is done twice."""
    monkeypatch.setattr(data, "load", lambda: pytest.fail("trained again"))
    said: list[str] = []
    assert train.train(made, progress=said.append) == made
    assert said == [f"{made} is there already"]


def test_a_training_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next try starts afresh, and finds no half a model."""

    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(classifier, "fit", lambda *_: None)
    monkeypatch.setattr(classifier, "accuracy", lambda *_: 1.0)
    monkeypatch.setattr(classifier, "export", lambda _, folder: folder.mkdir(parents=True))
    monkeypatch.setattr(gan, "fit", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        train.train(tmp_path / "digits", progress=lambda _: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", [gan, vae, classifier])
def test_the_same_seed_gives_the_same_weights(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And another seed others: three steps show it."""
    monkeypatch.setattr(module, "EPOCHS" if module is classifier else "STEPS", 1)
    training, _ = data.load()

    def weights(seed: int) -> bytes:
        state = module.fit(training, seed, lambda _: None).state_dict()
        return b"".join(value.numpy().tobytes() for value in state.values())

    assert weights(0) == weights(0)
    assert weights(0) != weights(1)
