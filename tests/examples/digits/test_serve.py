"""Serving digits: what is logged is what was painted, and the faults are where they are said."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.digits import serve, traffic
from examples.digits.data import from_png, to_png
from examples.digits.painter import Kind
from examples.digits.serve import serve_days, thumbnail
from tests.fakes.request_logs import log_spec, read_logs
from upkeep.pictures import is_image_name


@dataclass
class Noise:
    """Paints noise that the digit and the seed determine; it remembers what it was asked."""

    asked: list[tuple[int, int]] = field(default_factory=list)

    def paint(self, digit: int, seed: int) -> np.ndarray:
        """An image as unlike any other as can be."""
        self.asked.append((digit, seed))
        return np.random.default_rng((digit, seed)).random((8, 8), dtype=np.float32)


def silent(words: str) -> None:
    """Swallow progress."""


def never() -> Noise:
    """Fail: a model must not be loaded."""
    raise AssertionError("loaded a model for nothing")


def served(out: Path, kind: Kind, *days: int) -> list[Path]:
    """The folders of days that a new :class:`Noise` painted."""
    return serve_days(Noise, kind, "7", days, out, progress=silent)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """All rows of a day, in order."""
    lines = b"".join(p.read_bytes() for p in sorted(folder.glob("*.jsonl"))).splitlines()
    return [json.loads(line) for line in lines]


def images_of(folder: Path) -> set[str]:
    """The names of all images that lie beside a day's log."""
    return {f"images/{path.name}" for path in (folder / "images").iterdir()}


def test_every_request_is_painted_and_logged_once(tmp_path: Path) -> None:
    """The row's image is what the model painted for that digit and that seed."""
    model = Noise()
    [folder] = serve_days(lambda: model, "gan", "7", [3], tmp_path, progress=silent)
    asked = traffic.requests("gan", 3)
    rows = rows_of(folder)
    assert [r["request_id"] for r in rows] == [a.id for a in asked]
    assert sorted(model.asked[1:]) == sorted((a.digit, a.seed) for a in asked)
    for row, request in zip(rows, asked, strict=True):
        png = (folder / row["completion"]).read_bytes()
        assert png == to_png(Noise().paint(request.digit, request.seed))
        assert row["prompt"] == f"a handwritten {request.digit}"
        assert (row["client"], row["model_version"], row["status"]) == (request.client, "7", "ok")
        assert (row["tokens_in"], row["tokens_out"]) == (1, 64)
        assert row["latency_ms"] > 0
        assert "ttft_ms" not in row


def test_images_are_named_by_their_content_and_none_is_left_over(tmp_path: Path) -> None:
    """Each that a row names is there, and no other; each is an 8 x 8 picture."""
    for folder in served(tmp_path, "vae", 3, 4):
        named = {row["completion"] for row in rows_of(folder)}
        assert named == images_of(folder)
        for name in named:
            png = (folder / name).read_bytes()
            assert is_image_name(name)
            assert name == f"images/{hashlib.sha256(png).hexdigest()}.png"
            assert from_png(png).shape == (8, 8)


def test_the_manifest_records_each_of_24_files(tmp_path: Path) -> None:
    """As the other example's does; images need none, their names are their hashes."""
    [folder] = served(tmp_path, "gan", 3)
    files = json.loads((folder / "_complete.json").read_bytes())["files"]
    assert sorted(files) == [f"{hour:02d}.jsonl" for hour in range(24)]
    for name, known in files.items():
        data = (folder / name).read_bytes()
        assert known == {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_the_product_reads_a_day_whole(tmp_path: Path) -> None:
    """Full coverage, nothing set aside, requests by client, the right samples."""
    [folder] = served(tmp_path, "vae", 9)
    spec = log_spec(tmp_path)
    source = spec.sources[0].model_copy(update={"slice_field": "client"})
    aside: list[object] = []
    found = read_logs(
        spec.model_copy(update={"sources": (source,)}),
        traffic.day_date(9),
        lambda *said: aside.append(said),
    )
    asked = traffic.requests("vae", 9)
    assert not aside
    assert found.metrics.coverage == 1.0
    assert found.metrics.requests == len(asked)
    assert found.metrics.requests_by_slice.keys() == {"forms", "postal"}
    assert found.metrics.tokens_out == 64 * len(asked)
    assert {s.completion for s in found.samples} == images_of(folder)


@pytest.mark.parametrize(("number", "most"), [(9, None), (10, 1), (12, 1)])
def test_the_gans_noise_is_stuck_from_day_ten(
    tmp_path: Path, number: int, most: int | None
) -> None:
    """From then on a digit has one image; before, as many as it is asked for."""
    [folder] = served(tmp_path, "gan", number)
    rows = rows_of(folder)
    images: dict[str, set[str]] = {}
    for row in rows:
        images.setdefault(row["prompt"], set()).add(row["completion"])
    if most is None:
        assert sum(map(len, images.values())) == len(rows)
    else:
        assert {len(found) for found in images.values()} == {most}


@pytest.mark.parametrize(("number", "blurred"), [(10, False), (11, True), (12, True)])
def test_the_vaes_images_are_blurred_from_day_eleven(
    tmp_path: Path, number: int, *, blurred: bool
) -> None:
    """What is delivered is the thumbnail of what was painted; no image is served twice."""
    [folder] = served(tmp_path, "vae", number)
    rows = rows_of(folder)
    assert len({row["completion"] for row in rows}) == len(rows)
    for row, request in zip(rows, traffic.requests("vae", number), strict=True):
        painted = Noise().paint(request.digit, request.seed)
        expected = to_png(thumbnail(painted) if blurred else painted)
        assert (folder / row["completion"]).read_bytes() == expected


@pytest.mark.parametrize(("kind", "number"), [("gan", 11), ("vae", 10), ("vae", 12)])
def test_a_model_has_no_fault_but_its_own(tmp_path: Path, kind: Kind, number: int) -> None:
    """The GAN is sharp when the VAE blurs, the VAE is diverse when the GAN collapses."""
    [folder] = served(tmp_path, kind, number)
    first, row = traffic.requests(kind, number)[0], rows_of(folder)[0]
    seed = serve.STUCK_SEED if kind == "gan" else first.seed
    painted = Noise().paint(first.digit, seed)
    sharp = (folder / row["completion"]).read_bytes() == to_png(painted)
    assert sharp == ((kind, number) != ("vae", 12))


def test_a_thumbnail_is_a_low_pass() -> None:
    """Noise loses most of its differences between neighbours; an even image stays what it is."""
    noise = np.random.default_rng(0).random((50, 8, 8)).astype(np.float32)
    before = np.mean([np.square(np.diff(image)).mean() for image in noise])
    after = np.mean([np.square(np.diff(thumbnail(image))).mean() for image in noise])
    assert after < 0.3 * before
    even = np.full((8, 8), 0.25, dtype=np.float32)
    assert thumbnail(even) == pytest.approx(even)


def test_a_day_that_is_there_is_adopted_without_loading_a_model(tmp_path: Path) -> None:
    """A second run makes nothing twice, and serves what is missing."""
    [folder] = served(tmp_path, "gan", 3)
    before = {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert serve_days(never, "gan", "8", [3], tmp_path, progress=silent) == [folder]
    assert {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    _, second = served(tmp_path, "gan", 3, 4)
    assert rows_of(second)


def test_a_kill_while_images_are_written_leaves_no_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is found but what is whole; the next run serves the day."""

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(serve, "write_images", die)
        with pytest.raises(Killed):
            served(tmp_path, "gan", 3)
    assert list(tmp_path.iterdir()) == []
    [folder] = served(tmp_path, "gan", 3)
    assert images_of(folder)


def test_a_day_outside_the_story_is_refused(tmp_path: Path) -> None:
    """Before a model is loaded or a folder made."""
    out = tmp_path / "logs"
    with pytest.raises(Exception, match="must be 1 to 12"):
        serve_days(never, "gan", "1", [13], out, progress=silent)
    assert not out.exists()
