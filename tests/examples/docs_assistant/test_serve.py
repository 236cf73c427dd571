"""Serving: what is logged is what happened, and a day is there whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from examples.docs_assistant import corpus, serve, traffic
from examples.docs_assistant.corpus import PRODUCTION_CODE, PRODUCTION_PROSE, Corpus
from examples.docs_assistant.serve import serve_days
from tests.fakes.request_logs import log_spec, read_logs
from tests.fakes.tiny_model import tiny_llama
from upkeep.runtime import Generation, load

CORPUS = Corpus(
    training=(),
    production_prose=tuple(f"{i} " + "a word " * 40 for i in range(PRODUCTION_PROSE)),
    production_code=tuple(f"{i}\n" + "  x = 1\n" * 40 for i in range(PRODUCTION_CODE)),
)


@pytest.fixture(autouse=True)
def small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that cost nothing to find."""
    monkeypatch.setattr(corpus, "load", lambda: CORPUS)


@dataclass
class Echo:
    """Answers at once with made-up times; it remembers what it was asked."""

    asked: list[str] = field(default_factory=list)

    def generate(self, prompt: str, max_new_tokens: int) -> Generation:
        """Say how often it was asked."""
        self.asked.append(prompt)
        count = len(self.asked)
        return Generation(f"answer {count}", len(prompt.split()), max_new_tokens, 1.5, 2.5 + count)


def silent(words: str) -> None:
    """Swallow progress."""


def never() -> Echo:
    """Fail: a model must not be loaded."""
    raise AssertionError("loaded a model for nothing")


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """All rows of a day, in order."""
    lines = b"".join(p.read_bytes() for p in sorted(folder.glob("*.jsonl"))).splitlines()
    return [json.loads(line) for line in lines]


def collected(out: Path, number: int) -> tuple[Any, list[tuple[str, str]]]:
    """Read a day as the product does; also what it sets aside."""
    aside: list[tuple[str, str]] = []
    spec = log_spec(out)
    spec = spec.model_copy(
        update={"sources": (spec.sources[0].model_copy(update={"slice_field": "client"}),)}
    )
    day = traffic.day_date(number)
    found = read_logs(spec, day, lambda name, _, reason: aside.append((name, reason)))
    return found, aside


def test_every_request_is_answered_and_logged_once(tmp_path: Path) -> None:
    """What the model said and how long it took stands in the row, unchanged."""
    model = Echo()
    [folder] = serve_days(lambda: model, "7", [3], tmp_path, progress=silent)
    rows = rows_of(folder)
    asked = traffic.requests(CORPUS, 3)
    assert [(r["request_id"], r["prompt"]) for r in rows] == [(a.id, a.prompt) for a in asked]
    assert sorted(model.asked[1:]) == sorted(a.prompt for a in asked)
    for row in rows:
        count = int(row["completion"].split()[1])
        assert model.asked[count - 1] == row["prompt"]
        assert row["latency_ms"] == 2.5 + count
        assert row["ttft_ms"] == 1.5
        assert row["tokens_in"] == len(row["prompt"].split())
        assert row["model_version"] == "7"
        assert row["status"] == "ok"


def test_the_first_slow_call_is_nobodys_latency(tmp_path: Path) -> None:
    """One answer more is made than is logged."""
    model = Echo()
    [folder] = serve_days(lambda: model, "1", [3], tmp_path, progress=silent)
    assert len(model.asked) == len(rows_of(folder)) + 1
    assert "answer 1" not in {row["completion"] for row in rows_of(folder)}


def test_references_are_logged_where_they_are_known(tmp_path: Path) -> None:
    """And are absent elsewhere, not empty."""
    [folder] = serve_days(Echo, "1", [13], tmp_path, progress=silent)
    asked = {a.id: a for a in traffic.requests(CORPUS, 13)}
    for row in rows_of(folder):
        assert row.get("reference", "") == asked[row["request_id"]].reference
        assert row.get("reference") != ""


def test_rows_lie_in_the_file_of_their_hour(tmp_path: Path) -> None:
    """Times are RFC 3339 in UTC, the ones of the traffic."""
    [folder] = serve_days(Echo, "1", [5], tmp_path, progress=silent)
    for path in folder.glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            moment = datetime.fromisoformat(json.loads(line)["time"])
            assert moment.tzinfo == UTC
            assert (moment.date(), f"{moment.hour:02d}") == (traffic.day_date(5), path.stem)
            assert json.loads(line)["time"].endswith("Z")


def test_the_manifest_records_each_of_24_files(tmp_path: Path) -> None:
    """Also those of hours in which nobody asked."""
    [folder] = serve_days(Echo, "1", [3], tmp_path, progress=silent)
    files = json.loads((folder / "_complete.json").read_bytes())["files"]
    assert sorted(files) == [f"{hour:02d}.jsonl" for hour in range(24)]
    for name, known in files.items():
        data = (folder / name).read_bytes()
        assert known == {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert any(known["size_bytes"] == 0 for known in files.values())


def test_the_product_reads_a_day_whole(tmp_path: Path) -> None:
    """Full coverage, nothing set aside, requests by client."""
    serve_days(Echo, "4", [13], tmp_path, progress=silent)
    found, aside = collected(tmp_path, 13)
    asked = traffic.requests(CORPUS, 13)
    assert found.metrics.coverage == 1.0
    assert found.metrics.requests == len(asked)
    assert found.metrics.requests_by_slice == {
        "docs": len(asked) - len(asked) // 2,
        "editor": len(asked) // 2,
    }
    assert found.metrics.requests_by_version == {"4": len(asked)}
    assert not aside
    assert not found.metrics.flags


def test_half_of_day_twelves_files_are_damaged_after_the_manifest(tmp_path: Path) -> None:
    """The product covers the other half, and names what it set aside."""
    [folder] = serve_days(Echo, "1", [12], tmp_path, progress=silent)
    files = json.loads((folder / "_complete.json").read_bytes())["files"]
    wrong = {
        name
        for name, known in files.items()
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != known["sha256"]
    }
    shorter = {n for n in wrong if (folder / n).stat().st_size < files[n]["size_bytes"]}
    assert len(wrong) == 12
    assert len(shorter) == 6
    found, aside = collected(tmp_path, 12)
    assert found.metrics.coverage == 0.5
    assert wrong == {name for name in wrong if any(name in said for said, _ in aside)}


def test_a_day_that_is_there_is_adopted_without_loading_a_model(tmp_path: Path) -> None:
    """A second run makes nothing twice."""
    [folder] = serve_days(Echo, "1", [3], tmp_path, progress=silent)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert serve_days(never, "2", [3], tmp_path, progress=silent) == [folder]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_only_missing_days_are_served(tmp_path: Path) -> None:
    """After a kill between two days, say."""
    serve_days(Echo, "1", [3], tmp_path, progress=silent)
    first, second = serve_days(Echo, "2", [3, 4], tmp_path, progress=silent)
    assert {row["model_version"] for row in rows_of(first)} == {"1"}
    assert {row["model_version"] for row in rows_of(second)} == {"2"}


def test_a_kill_while_a_day_is_written_leaves_no_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is found but what is whole; the next run serves the day."""

    class Killed(BaseException):
        pass

    def die(folder: Path) -> list[str]:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(serve, "damage", die)
        with pytest.raises(Killed):
            serve_days(Echo, "1", [12], tmp_path, progress=silent)
    assert not (tmp_path / "2026-03-16").exists()
    [folder] = serve_days(Echo, "1", [12], tmp_path, progress=silent)
    assert (folder / "_complete.json").is_file()


def test_a_day_that_somebody_else_finished_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Two servers of one day: the second is told, and the first one's day stays."""

    def late() -> Echo:
        serve_days(Echo, "first", [3], tmp_path, progress=silent)
        return Echo()

    with pytest.raises(OSError, match="not empty"):
        serve_days(late, "second", [3], tmp_path, progress=silent)
    assert {r["model_version"] for r in rows_of(tmp_path / "2026-03-07")} == {"first"}


def test_requests_of_days_served_together_are_mixed(tmp_path: Path) -> None:
    """A stall of the machine falls on all of them alike."""
    model = Echo()
    serve_days(lambda: model, "1", [3, 4], tmp_path, progress=silent)
    third = {a.prompt for a in traffic.requests(CORPUS, 3)}
    belongs = [prompt in third for prompt in model.asked[1:]]
    assert sum(a != b for a, b in itertools.pairwise(belongs)) > 20


def test_progress_is_told(tmp_path: Path) -> None:
    """How many of how many."""
    said: list[str] = []
    serve_days(Echo, "1", [3], tmp_path, progress=said.append)
    assert any(" requests answered" in words for words in said)


def test_a_real_model_is_really_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens and times are the runtime's own, and time to first token is part of the latency."""
    monkeypatch.setattr(traffic, "WEEKEND_REQUESTS", 4)
    serve.main(
        [
            "--model",
            str(tiny_llama()),
            "--format",
            "safetensors",
            "--version",
            "1",
            "--out",
            str(tmp_path),
            "--days",
            "3",
            "4",
        ]
    )
    for number in (3, 4):
        rows = rows_of(tmp_path / traffic.day_date(number).isoformat())
        assert len(rows) == 4
        for row in rows:
            assert 0 < row["ttft_ms"] <= row["latency_ms"]
            assert 0 <= row["tokens_out"] <= serve.NEW_TOKENS
        again = load(tiny_llama(), "safetensors").generate(rows[0]["prompt"], serve.NEW_TOKENS)
        assert (rows[0]["completion"], rows[0]["tokens_out"], rows[0]["tokens_in"]) == (
            again.text,
            again.tokens_out,
            again.tokens_in,
        )


@pytest.mark.parametrize("broken", [["--days", "17"], ["--days", "0"]])
def test_a_day_outside_the_story_is_refused(tmp_path: Path, broken: list[str]) -> None:
    """Before a model is loaded or a folder made."""
    with pytest.raises(Exception, match="must be 1 to 16"):
        serve.main(
            [
                "--model",
                "none",
                "--format",
                "safetensors",
                "--version",
                "1",
                "--out",
                str(tmp_path / "logs"),
                *broken,
            ]
        )
    assert not (tmp_path / "logs").exists()
