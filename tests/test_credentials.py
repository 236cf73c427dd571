"""Connections by name: as Airflow writes them, and never to be read in a message."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest

from upkeep.credentials import Secret, from_environment
from upkeep.errors import ConfigError

HUSH = "hush-hush-42"


def connection(text: str, name: str = "my_cloud") -> Secret:
    """Read a connection from a variable that holds ``text``."""
    return from_environment({f"AIRFLOW_CONN_{name.upper()}": text})(name)


FORMS: list[Any] = [
    pytest.param(
        json.dumps({"conn_type": "aws", "login": "me", "password": HUSH, "extra": {"r": "eu"}}),
        Secret("me", HUSH, "", {"r": "eu"}),
        id="json",
    ),
    pytest.param(
        json.dumps({"login": None, "password": 7, "host": "h", "extra": '{"r": "eu"}'}),
        Secret("", "7", "h", {"r": "eu"}),
        id="json-with-extra-as-text",
    ),
    pytest.param("  {}", Secret(), id="json-empty"),
    pytest.param('{"extra": null}', Secret(), id="json-extra-null"),
    pytest.param(
        "http://me:hush%2Fhush%40@prom.example.org:9090/x?r=eu",
        Secret("me", "hush/hush@", "prom.example.org", {"r": "eu"}),
        id="uri",
    ),
    pytest.param(
        "aws://AKIA:se%3Acret@/?__extra__=%7B%22region_name%22%3A%20%22eu%22%7D",
        Secret("AKIA", "se:cret", "", {"region_name": "eu"}),
        id="uri-with-extra",
    ),
    pytest.param("google-cloud-platform://", Secret(), id="uri-empty"),
]


@pytest.mark.parametrize(("text", "secret"), FORMS)
def test_both_of_airflows_forms_are_read(text: str, secret: Secret) -> None:
    """JSON and URI, as Airflow itself reads them."""
    assert connection(text) == secret


@pytest.mark.parametrize(("text", "secret"), FORMS)
def test_airflow_reads_the_same(text: str, secret: Secret) -> None:
    """The oracle is Airflow's own class, where it is installed."""
    models = pytest.importorskip("airflow.sdk.definitions.connection")
    if text.lstrip().startswith("{"):
        found = models.Connection.from_json(text, conn_id="c")
    else:
        found = models.Connection.from_uri(text, conn_id="c")
    known = (found.login or "", str(found.password or ""), found.host or "")
    assert known == (secret.login, secret.password, secret.host)
    assert found.extra_dejson == secret.extra


@pytest.mark.parametrize("environ", [{}, {"AIRFLOW_CONN_MY_CLOUD": ""}], ids=["unset", "empty"])
def test_a_connection_that_is_not_there_is_named_with_its_variable(
    environ: dict[str, str],
) -> None:
    """A person reads what to add, and where."""
    with pytest.raises(ConfigError, match=r"'my_cloud': .*AIRFLOW_CONN_MY_CLOUD is not set.*add"):
        from_environment(environ)("my_cloud")


def test_a_name_that_no_shell_can_export_is_said() -> None:
    """Airflow takes ``my-cloud``; outside of it no variable can have this name."""
    with pytest.raises(ConfigError, match="a name of letters, digits and _"):
        from_environment({})("my-cloud")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"password": "' + HUSH, id="json-cut-off"),
        pytest.param('{"password": "' + HUSH + '", "extra": "[1]"}', id="extra-is-a-list"),
        pytest.param('{"password": "' + HUSH + '", "extra": "{"}', id="extra-cut-off"),
        pytest.param('{"extra": ' + "[" * 60_000, id="nested-too-deep"),
        pytest.param(HUSH, id="neither"),
        pytest.param(f"http://me:{HUSH}@[::1/", id="uri-broken"),
        pytest.param(f"http://me:{HUSH}@h/?__extra__=%5B%5D", id="uri-extra-is-a-list"),
    ],
)
def test_what_cannot_be_read_is_refused_without_a_word_of_it(text: str) -> None:
    """Neither the message nor anything that a traceback carries holds the secret."""
    with pytest.raises(ConfigError, match="AIRFLOW_CONN_MY_CLOUD is neither JSON nor a URI") as bad:
        connection(text)
    assert HUSH not in "".join(traceback.format_exception(bad.value))
    assert bad.value.__cause__ is None
    assert bad.value.__context__ is None


def test_a_secret_does_not_show() -> None:
    """Neither repr nor str nor a format string; the host may be read."""
    secret = connection(f"http://{HUSH}:{HUSH}@h.example.org/?token={HUSH}")
    assert secret.password == HUSH
    for shown in (repr(secret), str(secret), f"{secret}", repr({"x": [secret]})):
        assert HUSH not in shown
    assert "h.example.org" in repr(secret)


def test_the_environment_is_read_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set later is found."""
    ask = from_environment()
    monkeypatch.setenv("AIRFLOW_CONN_LATER", '{"login": "me"}')
    assert ask("later").login == "me"
