"""Images that a log names are fetched by their hash; what is missing or changed is counted."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fakes.request_logs import day_rows, log_spec, read_logs, write_day
from fakes.seaweedfs import use_s3

from upkeep.pictures import image_name
from upkeep.sources import Collected

DAY = date(2026, 3, 5)
IMAGES = [b"\x89PNG %d" % n for n in range(72)]
NAMES = [image_name(data) for data in IMAGES]
BUCKET = "pictures"


def painted(folder: Path, names: list[str] | None = None) -> Path:
    """A day of 72 requests, each answered with an image of its own; the day's folder."""
    rows: list[dict[str, Any]] = day_rows(DAY)
    for row, name in zip(rows, names or NAMES, strict=True):
        row["completion"] = name
    day = write_day(folder, DAY, rows)
    (day / "images").mkdir()
    for name, data in zip(NAMES, IMAGES, strict=True):
        (day / name).write_bytes(data)
    return day


def collect(path: Path | str, **quality: Any) -> Collected:
    """What an image model's day gives."""
    return read_logs(log_spec(path, quality={"modality": "image", "measures": []} | quality), DAY)


def asides(found: Collected) -> list[tuple[int, str]]:
    """Rows and reason of all that was set aside."""
    return [(q.rows, q.reason) for q in found.metrics.quarantined]


def test_every_image_is_fetched(tmp_path: Path) -> None:
    """72 requests, 72 images, nothing set aside, no file taken for an hour's."""
    painted(tmp_path)
    found = collect(tmp_path)
    assert found.images == dict(zip(NAMES, IMAGES, strict=True))
    assert (asides(found), found.metrics.coverage) == ([], 1.0)
    assert found.metrics.flags == ()


def test_only_as_many_images_as_are_measured(tmp_path: Path) -> None:
    """The same ones each time."""
    painted(tmp_path)
    found = collect(tmp_path, max_samples=10)
    assert len(found.images) == 10
    assert collect(tmp_path, max_samples=10).images == found.images


def test_a_model_of_texts_has_no_images(tmp_path: Path) -> None:
    """Whatever its completions look like."""
    painted(tmp_path)
    assert read_logs(log_spec(tmp_path), DAY).images == {}


def test_missing_changed_and_misnamed_images_are_counted_by_reason(tmp_path: Path) -> None:
    """None of them is taken for another, and no name leads out of the folder."""
    (tmp_path / "secret").write_bytes(b"not yours")
    names = ["../../secret", "/etc/hostname", *NAMES[2:]]
    day = painted(tmp_path, names)
    (day / NAMES[2]).unlink()
    (day / NAMES[3]).unlink()
    (day / NAMES[4]).write_bytes(IMAGES[5])
    found = collect(tmp_path)
    assert sorted(asides(found)) == [
        (1, "is not the image that its name says"),
        (2, "is missing, and a request names it"),
        (2, "names no image: images/<sha256>.png is expected"),
    ]
    assert set(found.images) == set(NAMES[5:])


def test_images_on_s3_are_fetched_too(
    moto_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same names, under the day's prefix."""
    client = use_s3(monkeypatch, moto_endpoint, BUCKET)
    day = painted(tmp_path)
    for file in (f for f in day.rglob("*") if f.is_file()):
        key = f"painter/{day.name}/{file.relative_to(day).as_posix()}"
        client.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
    found = collect(f"s3://{BUCKET}/painter")
    assert len(found.images) == 72
    assert found.metrics.coverage == 1.0
