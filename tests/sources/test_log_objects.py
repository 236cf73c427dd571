"""Logs on S3: moto's server here, a real SeaweedFS in the tests marked ``stack``."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fakes.seaweedfs import KEY, SECRET, use_s3

from tests.fakes.request_logs import FORMATS, log_spec, read_logs, write_day
from upkeep.credentials import Secret
from upkeep.errors import ConfigError, SourceError
from upkeep.sources import Asked, Collected, collect, log_objects
from upkeep.sources.request_log import probe

DAY = date(2026, 3, 5)
BUCKET = "logs"


@pytest.fixture(
    params=["moto", pytest.param("weed", marks=pytest.mark.stack)],
)
def s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of each server, with the deployment's variables set for it."""
    endpoint = request.getfixturevalue(f"{request.param}_endpoint")
    return use_s3(monkeypatch, endpoint, BUCKET)


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test uses."""
    return uuid4().hex


def upload(client: Any, folder: Path, prefix: str) -> None:
    """Put a day's folder under the prefix."""
    for file in folder.iterdir():
        key = f"{prefix}/{folder.name}/{file.name}"
        client.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())


def from_s3(prefix: str, **source: Any) -> Collected:
    """Collect the day from the bucket."""
    found = {"kind": "request_log", "path": f"s3://{BUCKET}/{prefix}"} | source
    return read_logs(log_spec(sources=[found]), DAY)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_day_on_s3_is_the_day_of_a_folder(
    s3: Any, prefix: str, tmp_path: Path, file_format: str
) -> None:
    """The same numbers, texts and coverage."""
    upload(s3, write_day(tmp_path, DAY, file_format=file_format), prefix)
    local, remote = read_logs(log_spec(tmp_path), DAY), from_s3(prefix)
    same = {"source": ""}
    assert remote.metrics.model_copy(update=same) == local.metrics.model_copy(update=same)
    assert remote.samples == local.samples
    assert remote.metrics.source == f"request_log:s3://{BUCKET}/{prefix}"


def test_b28_keys_with_odd_names_are_named_and_never_made_a_path(
    s3: Any, prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Newlines, dots and a thousand characters: nothing is written under such a name."""
    upload(s3, write_day(tmp_path, DAY), prefix)
    odd = ["..03.jsonl", "03.jsonl ", "x" * 200, "03.jsonl\tb", "a<b>"]
    if "moto" not in request.node.name:  # its routes know no newline
        odd[3:] = ["03.jsonl\n", "a\nb"]
    for name in odd:
        s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{DAY}/{name}", Body=b"{}")
    metrics = from_s3(prefix).metrics
    assert metrics.requests == 72
    assert metrics.flags[0].startswith("files that are no hour's were not read: '..03.jsonl', ")
    assert metrics.flags[0].endswith("and 2 more")


def test_b29_a_prefix_without_a_key_is_no_source(s3: Any, prefix: str) -> None:
    """There are no empty folders on S3."""
    metrics = from_s3(prefix).metrics
    assert [(q.what, q.reason) for q in metrics.quarantined] == [("2026-03-05", "no_source")]


def test_b5_a_key_that_is_gone_when_it_is_read_is_a_missing_hour(
    s3: Any, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was in the list; the list is asked once more, then the hour is missing with its key."""
    upload(s3, write_day(tmp_path, DAY, manifest=False), prefix)
    real, lists = log_objects.Bucket.names, list[int]()

    def names(self: log_objects.Bucket, day: date) -> set[str] | None:
        lists.append(1)
        found = real(self, day)
        s3.delete_object(Bucket=BUCKET, Key=f"{prefix}/{DAY}/03.jsonl")
        return found

    monkeypatch.setattr(log_objects.Bucket, "names", names)
    metrics = from_s3(prefix).metrics
    assert [f"{q.what} {q.reason}" for q in metrics.quarantined] == ["03.jsonl is missing"]
    assert (metrics.coverage, metrics.requests, len(lists)) == (23 / 24, 69, 2)


@pytest.mark.parametrize("closed", [True, False])
def test_b4_an_object_that_is_replaced_while_it_is_read_is_not_believed(
    s3: Any, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, closed: bool
) -> None:
    """Of an open day its ETag tells, of a closed one the manifest."""
    upload(s3, write_day(tmp_path, DAY, manifest=closed), prefix)
    real = log_objects.Bucket.fetch

    def fetch(self: log_objects.Bucket, day: date, name: str, to: Path) -> Path:
        if name == "03.jsonl":
            s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{DAY}/{name}", Body=b"{}\n")
        return real(self, day, name, to)

    monkeypatch.setattr(log_objects.Bucket, "fetch", fetch)
    metrics = from_s3(prefix).metrics
    words = "is cut off (3 of " if closed else "is still growing"
    assert [q.what for q in metrics.quarantined] == ["03.jsonl"]
    assert metrics.quarantined[0].reason.startswith(words)
    assert (metrics.coverage, metrics.requests) == (23 / 24, 69)


def test_the_list_is_followed_to_its_last_page(s3: Any, prefix: str, tmp_path: Path) -> None:
    """A thousand keys that sort before the hours' fill the first page (A38)."""
    upload(s3, write_day(tmp_path, DAY), prefix)
    for number in range(1_001):
        s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{DAY}/.part-{number:04d}", Body=b"")
    metrics = from_s3(prefix).metrics
    assert (metrics.requests, metrics.coverage) == (72, 1.0)
    assert metrics.flags[0].endswith("and 998 more")


def test_probe_says_how_many_days_are_there(s3: Any, prefix: str, tmp_path: Path) -> None:
    """Without reading one."""
    upload(s3, write_day(tmp_path, DAY), prefix)
    spec = log_spec(f"s3://{BUCKET}/{prefix}/")
    words = probe(spec.sources[0], Asked(spec, DAY, lambda *_: None))  # type: ignore[arg-type]
    assert words == f"s3://{BUCKET}/{prefix}: 1 days, {DAY} to {DAY}"


def test_a_bucket_that_is_not_there_is_an_error_in_one_line(s3: Any, tmp_path: Path) -> None:
    """Trying again may help; it is no day without traffic."""
    with pytest.raises(SourceError, match=r"s3://no-such-bucket/x: .*NoSuchBucket"):
        read_logs(log_spec("s3://no-such-bucket/x"), DAY)


def test_a_connection_gives_the_keys_and_no_message_shows_them(
    s3: Any, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment has none; wrong ones are refused by the server, in words without them."""
    upload(s3, write_day(tmp_path, DAY), prefix)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    asked_for: list[str] = []

    def credentials(name: str) -> Secret:
        asked_for.append(name)
        return Secret(login=KEY, password=SECRET, extra={"region_name": "us-east-1"})

    source = {"kind": "request_log", "path": f"s3://{BUCKET}/{prefix}", "connection": "aws_logs"}
    spec = log_spec(sources=[source])
    found = collect(Asked(spec, DAY, lambda *_: None, credentials))
    assert (found.metrics.requests, asked_for) == (72, ["aws_logs"])
    with pytest.raises(ConfigError, match="AIRFLOW_CONN_AWS_LOGS is not set"):
        collect(Asked(spec, DAY, lambda *_: None))


def test_a_connections_role_is_assumed(
    moto_endpoint: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys ask STS for others, which then read; an unreachable STS is an error in one line."""
    upload(use_s3(monkeypatch, moto_endpoint, BUCKET), write_day(tmp_path, DAY), prefix)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_endpoint)
    role = {"region_name": "us-east-1", "role_arn": "arn:aws:iam::123456789012:role/logs"}
    source = {"kind": "request_log", "path": f"s3://{BUCKET}/{prefix}", "connection": "aws_logs"}
    asked = Asked(
        log_spec(sources=[source]),
        DAY,
        lambda *_: None,
        lambda _: Secret(login=KEY, password=SECRET, extra=role),
    )
    assert collect(asked).metrics.requests == 72
    found = log_objects.place(asked.spec.sources[0], "talker", asked.credentials)  # type: ignore[arg-type]
    assert found._client._request_signer._credentials.access_key.startswith("ASIA")  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    with pytest.raises(SourceError, match=r"s3://.*127\.0\.0\.1:1"):
        collect(asked)


@pytest.mark.stack
def test_keys_that_the_server_does_not_know_are_refused_without_showing_them(
    weed_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real server looks at the signature; moto does not."""
    monkeypatch.setenv("UPKEEP_S3_ENDPOINT", weed_endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv(
        "AIRFLOW_CONN_WRONG",
        json.dumps({"login": KEY, "password": "hunter2"}),
    )
    source = {"kind": "request_log", "path": "s3://ready/x", "connection": "wrong"}
    with pytest.raises(SourceError, match="s3://ready/x: ") as refused:
        read_logs(log_spec(sources=[source]), DAY)
    assert "hunter2" not in str(refused.value)
