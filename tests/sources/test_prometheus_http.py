"""One request to Prometheus: tried again where that may help, bounded, never led astray."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.fakes.prometheus_api import Answer, PrometheusApi
from upkeep.credentials import Secret
from upkeep.errors import ConfigError, SourceError
from upkeep.sources import prometheus_http
from upkeep.sources.prometheus_http import TRIES, WAIT_BUDGET_S, Api

BAD = {"status": "error", "errorType": "timeout", "error": "query timed out"}


@pytest.fixture
def server() -> Iterator[PrometheusApi]:
    """The stand-in with one series."""
    with PrometheusApi() as api:
        api.plant("up", [(1_700_000_000, "1")])
        yield api


def client(server: PrometheusApi, secret: Secret | None = None) -> tuple[Api, list[float]]:
    """A client that notes how long it would have slept."""
    slept: list[float] = []
    api = Api(server.url, secret or Secret(), slept.append, random.Random(1))
    return api, slept


def ask(api: Api) -> list[dict[str, Any]]:
    """The series ``up`` at a time."""
    return api.vector('{__name__=~"up"}', 1_700_000_000)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Answer(200, BAD), id="A37-status-error"),
        pytest.param(Answer(200, b"<html>"), id="A37-not-json"),
        pytest.param(Answer(200, b"[" * 100_000), id="A37-nested"),
        pytest.param(Answer(429, BAD), id="A38-429"),
        pytest.param(Answer(500, b""), id="A38-500"),
        pytest.param(Answer(503, BAD), id="A38-503"),
    ],
)
def test_a_server_that_cannot_now_is_asked_again(server: PrometheusApi, bad: Answer) -> None:
    """With growing waits; when the tries are used up, in one line what it said."""
    api, slept = client(server)
    server.instead += [bad, bad]
    assert ask(api)[0]["value"][1] == "1"
    assert len(slept) == 2
    assert 0.5 <= slept[0] <= 1.0 <= slept[1] <= 2.0
    server.instead += [bad] * TRIES
    with pytest.raises(SourceError, match=rf"query: .* \({TRIES} tries\)"):
        ask(api)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        pytest.param("7", 7.0, id="A38-seconds"),
        pytest.param("in half a minute", 30.0, id="A38-date"),
        pytest.param("soon", None, id="neither"),
    ],
)
def test_A38_retry_after_is_kept_to(  # noqa: N802 - the case's id
    server: PrometheusApi, header: str, wait_s: float | None
) -> None:
    """In both its forms; one that says nothing is as none."""
    if header == "in half a minute":
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=30))
    api, slept = client(server)
    server.instead.append(Answer(429, BAD, {"Retry-After": header}))
    assert ask(api)
    assert slept[0] == pytest.approx(wait_s, abs=15.0) if wait_s else slept[0] <= 1.0


def test_A38_waits_have_a_budget_over_all_requests(server: PrometheusApi) -> None:  # noqa: N802
    """A server that says "in an hour" is not waited for."""
    api, slept = client(server)
    server.instead.append(Answer(503, BAD, {"Retry-After": "3600"}))
    with pytest.raises(SourceError, match="HTTP 503"):
        ask(api)
    assert not slept
    for _ in range(3):
        server.instead.append(Answer(503, BAD, {"Retry-After": str(WAIT_BUDGET_S / 3)}))
        assert ask(api)
    server.instead.append(Answer(503, BAD, {"Retry-After": "1"}))
    with pytest.raises(SourceError, match="HTTP 503"):
        ask(api)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(302, BAD, {"Location": "http://169.254.169.254/"}), "redirects are not followed"),
        (Answer(401, BAD), "HTTP 401; check the connection"),
        (Answer(400, BAD | {"error": "parse error\n\x1b[31m"}), r"HTTP 400, 'parse error\\n\\x1b"),
        (Answer(200, {"status": "success", "data": [1]}), "not a vector"),
        (
            Answer(200, {"status": "success", "data": {"resultType": "vector", "result": [1]}}),
            "a series without labels",
        ),
    ],
    ids=["redirect", "401", "400", "shape", "no-labels"],
)
def test_what_trying_again_does_not_mend_is_tried_once(
    server: PrometheusApi, answer: Answer, words: str
) -> None:
    """And said in words."""
    api, slept = client(server)
    server.instead.append(answer)
    with pytest.raises(SourceError, match=words):
        ask(api)
    assert not slept
    assert len(server.asked) == 1


def test_nobody_there_is_a_source_error() -> None:
    """After the tries; the address is in the message."""
    with PrometheusApi() as gone:
        url = gone.url
    api = Api(url, sleep=lambda _: None)
    with pytest.raises(SourceError, match=rf"{url}: query: no answer"):
        ask(api)


def test_an_answer_without_end_is_cut_off(
    server: PrometheusApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded whatever a server sends."""
    monkeypatch.setattr(prometheus_http, "MAX_ANSWER_BYTES", 2**20)
    api, _ = client(server)
    server.instead.append(Answer(200, b"x" * 2**22))
    with pytest.raises(SourceError, match="more than 1 MiB"):
        ask(api)


def test_A37_warnings_are_kept_once(server: PrometheusApi) -> None:  # noqa: N802
    """For the day's flags."""
    api, _ = client(server)
    server.warnings = ["a store is missing", "a store is missing"]
    ask(api)
    ask(api)
    assert api.warnings == ["prometheus warned: 'a store is missing'"]


@pytest.mark.parametrize(
    ("secret", "sent"),
    [
        (Secret(), None),
        (Secret(password="t0ken"), "Bearer t0ken"),
        (Secret(login="me", password="x"), "Basic bWU6eA=="),
    ],
    ids=["none", "bearer", "basic"],
)
def test_credentials_go_into_the_header_only(
    server: PrometheusApi, secret: Secret, sent: str | None
) -> None:
    """Never into the address, a message or a repr."""
    api, _ = client(server, Secret(secret.login, secret.password, "", {"headers": {"X-Org": 1}}))
    ask(api)
    _, params, headers = server.asked[0]
    assert headers.get("Authorization") == sent
    assert headers["X-Org"] == "1"
    assert "t0ken" not in repr(api) + str(params)


def test_C14_an_address_that_is_not_allowed_is_never_asked() -> None:  # noqa: N802
    """At use too, not only where the file is read."""
    with pytest.raises(ConfigError, match="link-local"):
        Api("http://169.254.169.254/latest")
    with pytest.raises(ConfigError, match="not an allowed host"):
        Api("http://prometheus.example.org:9090")
