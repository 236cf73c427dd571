"""The command line: what it prints, its exit codes, and that a refusal leaves nothing behind."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fakes.deployment import FLEET, FakeDeployment
from fakes.played_days import MODEL, day_of, play_until
from fakes.request_logs import rows_of, write_day
from fakes.tiny_model import tiny_llama

from upkeep import cli, promotion
from upkeep.deployment import Deployment
from upkeep.records import DailyMetrics, Quantiles
from upkeep.spec import Policy
from upkeep.store import get_record, record_key


@pytest.fixture
def places(
    deployment: FakeDeployment,
    monkeypatch: pytest.MonkeyPatch,
) -> FakeDeployment:
    """The command line over a fake deployment, its wide table not cut."""
    monkeypatch.setattr(Deployment, "from_env", classmethod(lambda _cls, **_: deployment))
    monkeypatch.setenv("UPKEEP_STORE", deployment.store.root)
    monkeypatch.setenv("COLUMNS", "200")
    return deployment


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """The exit code of one call."""
    monkeypatch.setattr(sys, "argv", ["upkeep", *args])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_check_accepts_the_fleet_that_ships(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example's own YAML is valid."""
    monkeypatch.setenv("UPKEEP_FLEET", str(FLEET))
    monkeypatch.setenv("UPKEEP_LOGS", "/var/log/requests")
    assert run(monkeypatch, "check") == 0
    assert "1 models, 0 files refused" in capsys.readouterr().out


def test_check_names_file_line_and_field(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """C1: a typo is shown where it stands; the exit code is 2."""
    (tmp_path / "one.yaml").write_text("name: one\nsorces: []\n")
    monkeypatch.setenv("UPKEEP_FLEET", str(tmp_path))
    assert run(monkeypatch, "check") == 2
    shown = capsys.readouterr().err
    assert "one.yaml:2" in shown
    assert "sources" in shown


@pytest.mark.parametrize("day", ["01/02/2026", "2026-3-5", "tomorrow", "2026-03-05\n", ""])
def test_a_day_that_is_no_iso_day_is_refused(
    places: FakeDeployment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    day: str,
) -> None:
    """D11: one line, exit code 2, no side effect."""
    before = places.store.list("")
    assert run(monkeypatch, "day", MODEL, day) == 2
    assert "YYYY-MM-DD" in capsys.readouterr().err.replace("\n", " ")
    assert places.store.list("") == before


def test_a_model_that_is_not_in_the_fleet_is_refused(
    places: FakeDeployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """D16: near names are listed."""
    assert run(monkeypatch, "day", "docs-asistant", "2026-03-05") == 2
    assert MODEL in capsys.readouterr().err


def test_an_action_of_ones_own_needs_a_note(
    places: FakeDeployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """D15: an order without a reason is refused."""
    assert run(monkeypatch, "day", MODEL, "2026-03-05", "--action", "compress") == 2
    assert "note" in capsys.readouterr().err


def test_days_in_one_process_are_listed_and_replayed(
    places: FakeDeployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`decisions --json` holds what a script needs; a replay gives every byte again."""
    play_until(places, 3)
    assert run(monkeypatch, "decisions", "--json") == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    wanted = {"day", "model", "action", "cause", "reasons", "champion_version", "mlflow_run_id"}
    assert [set(row) for row in rows] == [wanted] * 3
    assert [(r["day"], r["action"], r["champion_version"]) for r in rows] == [
        (day_of(n).isoformat(), "keep", "1") for n in (1, 2, 3)
    ]
    assert run(monkeypatch, "replay", MODEL, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["identical"] for row in answer["days"]] == [True] * 3


def test_a_replay_under_another_policy_says_what_flips(
    places: FakeDeployment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """What if a young model were not kept but looked at? Nothing is written."""
    play_until(places, 2)
    before = places.store.list("")
    policy: Policy = places.fleet.models[MODEL].policy
    rules = [r.model_dump(mode="json") for r in policy.rules]
    for rule in rules:
        rule["action"] = "investigate" if rule["cause"] == "learning" else rule["action"]
    other = tmp_path / "other.yaml"
    other.write_text(
        json.dumps(
            policy.model_dump(mode="json", exclude_none=True)
            | {"rules": [{k: v for k, v in rule.items() if v is not None} for rule in rules]}
        )
    )
    assert run(monkeypatch, "replay", MODEL, "--policy", str(other), "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [(r["stored"], r["replayed"]) for r in answer["days"]] == [("keep", "investigate")] * 2
    assert [m["flips"] for m in answer["models"]] == [2]
    assert places.store.list("") == before
    assert run(monkeypatch, "replay", MODEL, "--policy", str(other), "--fail-on-flip") == 1


def test_a_record_that_was_tampered_with_is_not_listed_as_if_it_were_whole(
    places: FakeDeployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed byte of a decision is an error that names it."""
    play_until(places, 1)
    path = Path(places.store.root) / record_key(MODEL, day_of(1), "decision")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b'"keep"', b'"hold"', 1))
    assert run(monkeypatch, "decisions") == 1
    assert "decision.json" in capsys.readouterr().err.replace("\n", "")


def test_rollback_puts_the_earlier_champion_back(
    places: FakeDeployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """R20: one command, one entry, one move of the alias; the ledger shows both."""
    play_until(places, 6)
    order = ("--action", "compress", "--note", "cheaper")
    assert run(monkeypatch, "day", MODEL, day_of(6).isoformat(), *order) == 0
    assert [e.event for e in promotion.ledger(places.store, MODEL)] == ["register", "promote"]
    assert run(monkeypatch, "rollback", MODEL, "--note", "slower in production") == 0
    assert places.tracker().get_alias(MODEL, "champion") == "1"
    assert run(monkeypatch, "ledger", "--json") == 0
    printed = capsys.readouterr().out
    rows = json.loads(printed[printed.index("[\n") :])
    assert [row["event"] for row in rows] == ["register", "promote", "rollback"]


def test_register_checks_the_files_and_does_it_once(
    places: FakeDeployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that has a champion keeps it; unsafe files never get so far."""
    assert run(monkeypatch, "register", MODEL, str(tiny_llama())) == 0
    assert len(promotion.ledger(places.store, MODEL)) == 1
    assert "version 1 is champion" in capsys.readouterr().out


def test_unsafe_files_are_refused_before_anything_is_kept(
    places: FakeDeployment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """E1: a pickle never becomes a champion."""
    empty = replace(places, fake_tracker=places.tracker())
    monkeypatch.setattr(Deployment, "from_env", classmethod(lambda _cls, **_: empty))
    monkeypatch.setattr(promotion, "champion", lambda *_: None)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
    before = places.store.list("")
    assert run(monkeypatch, "register", MODEL, str(bad)) == 2
    assert "pytorch_model.bin" in capsys.readouterr().err.replace("\n", "")
    assert places.store.list("") == before


def test_what_the_store_holds_is_what_was_measured(places: FakeDeployment) -> None:
    """The day's metrics are real numbers of the log, not of the fake engine."""
    play_until(places, 1)
    metrics = get_record(places.store, record_key(MODEL, date(2026, 3, 5), "metrics"), DailyMetrics)
    assert metrics is not None
    assert metrics.requests == 48
    assert isinstance(metrics.latency_ms, Quantiles)
    assert 47 < metrics.latency_ms.p50 < 53


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The fleet that ships, and where the example's logs lie."""
    monkeypatch.setenv("UPKEEP_FLEET", str(FLEET))
    monkeypatch.setenv("UPKEEP_LOGS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / MODEL


def test_collect_shows_a_day_and_what_was_not_collected(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log says nothing of GPUs: not collected, and never 0."""
    write_day(logs, day_of(1), rows=rows_of(day_of(1)))
    assert run(monkeypatch, "collect", MODEL, day_of(1).isoformat(), "--hours") == 0
    said = capsys.readouterr().out
    [missing] = [line for line in said.splitlines() if line.startswith("not collected")]
    assert missing.endswith("cpu, gpu, gpu_memory, host_memory, network_bytes_per_s")
    assert "requests" not in missing
    assert "(n 48)" in said
    assert " 23 " in said


def test_collect_as_json_is_the_record(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the cycle would have recorded, ready for other programs; nothing is written."""
    write_day(logs, day_of(1), rows=rows_of(day_of(1)))
    before = sorted(logs.parent.rglob("*"))
    assert run(monkeypatch, "collect", MODEL, day_of(1).isoformat(), "--json") == 0
    metrics = DailyMetrics.model_validate_json(capsys.readouterr().out)
    assert (metrics.requests, metrics.utilisation.gpu) == (48, None)
    assert sorted(logs.parent.rglob("*")) == before


def test_collect_says_what_was_set_aside(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A day without a folder: nothing is 0, and the reason is in words."""
    logs.mkdir(parents=True)
    assert run(monkeypatch, "collect", MODEL, day_of(1).isoformat()) == 0
    said = capsys.readouterr().out
    assert "set aside: 2026-03-01 no_source" in said.replace(day_of(1).isoformat(), "2026-03-01")
    assert f"read from: request_log:${{UPKEEP_LOGS}}/{MODEL}" in said
    assert "not collected: requests, " in said


def test_collect_says_a_reason_once(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty files that are missing are one line with the first five names."""
    folder = write_day(logs, day_of(1), rows=rows_of(day_of(1)))
    for hour in range(4, 24):
        (folder / f"{hour:02d}.jsonl").unlink()
    assert run(monkeypatch, "collect", MODEL, day_of(1).isoformat()) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "04.jsonl, 05.jsonl, 06.jsonl, 07.jsonl, 08.jsonl and 15 more is missing" in said
    assert said.count("is missing") == 1


def test_collect_of_a_model_that_is_not_there_is_refused(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the fleet."""
    assert run(monkeypatch, "collect", "painter", day_of(1).isoformat()) == 2
    assert f"is not in the fleet ({MODEL})" in capsys.readouterr().err


def test_check_connect_tries_each_source(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a source: what is there, or what is wrong; the exit code says which."""
    assert run(monkeypatch, "check", "--connect") == 2
    assert f"{MODEL} sources[0] request_log: NO ANSWER: " in capsys.readouterr().out
    write_day(logs, day_of(1), rows=rows_of(day_of(1)))
    assert run(monkeypatch, "check", "--connect") == 0
    assert f"{MODEL} sources[0] request_log: ok: " in capsys.readouterr().out
