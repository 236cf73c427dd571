"""``upkeep replay``: what it prints, and its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from fakes.replayed_store import copied, put_story, tamper, told
from fakes.sixteen_days import DEFAULTS, MODEL

from upkeep import cli
from upkeep.store import Store, open_store, record_key

RULE = "{cause: traffic_mix,     action: retrain}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The sixteen days; nobody changes them."""
    store = open_store(str(tmp_path_factory.mktemp("written")))
    put_story(store, told())
    return store


@pytest.fixture
def store(tmp_path: Path, written: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of its own, which the command line uses."""
    made = copied(written, tmp_path)
    monkeypatch.setenv("UPKEEP_STORE", made.root)
    monkeypatch.setenv("COLUMNS", "200")
    return made


@pytest.fixture
def looks(tmp_path: Path) -> str:
    """A policy that only looks where the shipped one retrains."""
    path = tmp_path / "looks.yaml"
    path.write_text(DEFAULTS.read_text().replace(RULE, "{cause: traffic_mix, action: investigate}"))
    return str(path)


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """The exit code of one call."""
    monkeypatch.setattr(sys, "argv", ["upkeep", "replay", *args])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_recorded_policy_is_told_in_one_line(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte; nothing is written."""
    before = store.list("")
    assert run(monkeypatch, "--all") == 0
    assert "16 of 16 are byte for byte what was decided" in capsys.readouterr().out
    assert store.list("") == before


def test_a_tampered_record_is_named_and_the_status_is_1(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are replayed nonetheless."""
    key = record_key(MODEL, told().days[5].facts.day, "facts")
    tamper(store, key, b"docs-assistant", b"docs-assistent")
    assert run(monkeypatch, MODEL) == 1
    said = capsys.readouterr().out
    assert f"not replayed: {key}" in said
    assert "15 of 16" in said


def test_another_policy_is_no_failure_unless_flips_are(
    store: Store, looks: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of flips, one of estimates, the answer in a line."""
    assert run(monkeypatch, MODEL, "--policy", looks, "--jobs", "1") == 0
    said = capsys.readouterr().out
    assert "2026-03-17" in said
    assert {"days", "degraded"} <= set(said.split())  # a narrow table breaks the line
    assert "1 decision flipped" in said
    assert run(monkeypatch, MODEL, "--policy", looks, "--fail-on-flip") == 1
    quiet = ("--policy", looks, "--fail-on-flip", "--to", "2026-03-16")
    assert run(monkeypatch, MODEL, *quiet) == 0


def test_another_budget_is_tried_under_the_recorded_policy(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No decision flips, and its jobs are refused; days that differ are no failure."""
    file = tmp_path / "budget.yaml"
    file.write_text("jobs_per_day: 0\n")
    assert run(monkeypatch, "--all", "--budget", str(file), "--json") == 0
    told_json = json.loads(capsys.readouterr().out)
    refused = [row for row in told_json["days"] if row["budget"]]
    assert [row["carried"] for row in refused][:1] == ["retrain"]
    assert refused[0]["budget"].startswith("retrain refused: 2.00 GPU-hours asked")
    [jobs] = [e for e in told_json["estimates"] if e["quantity"] == "jobs"]
    assert (jobs["stored"], jobs["other"]) == (2.0, 0.0)


def test_markdown_is_the_same_each_time(
    store: Store, looks: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing else is on standard output."""
    seen = []
    for _ in range(2):
        assert run(monkeypatch, "--all", "--policy", looks, "--markdown") == 0
        seen.append(capsys.readouterr().out)
    assert seen[0] == seen[1]
    assert seen[0].startswith("### What another policy would have decided")
    assert "| 2026-03-17 | retrain | investigate |" in seen[0]


def test_json_has_the_days_within_the_bounds(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both bounds are included."""
    bounds = ("--from", "2026-03-06", "--to", "2026-03-07")
    assert run(monkeypatch, MODEL, *bounds, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [d["day"] for d in answer["days"]] == ["2026-03-06", "2026-03-07"]
    assert answer["estimates"] == []


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ((), "name models, or --all"),
        ((MODEL, "--all"), "name models, or --all"),
        (("docs-asistant",), "did you mean docs-assistant"),
        ((MODEL, "--from", "2026-3-5"), "YYYY-MM-DD"),
        ((MODEL, "--from", "2026-03-06", "--to", "2026-03-05"), "before the first day"),
        ((MODEL, "--policy", "gone.yaml"), "cannot be read"),
    ],
)
def test_what_is_not_allowed_is_refused(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, ...],
    why: str,
) -> None:
    """One line, exit code 2."""
    assert run(monkeypatch, *args) == 2
    assert why in capsys.readouterr().err
