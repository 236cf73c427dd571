"""The HTTP API of Prometheus: one request, tried again within a budget, its answer bounded.

What Thanos, Mimir, VictoriaMetrics and Google's managed Prometheus answer is the same API.
Redirects are never followed: they could lead to a host that nobody allowed.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from upkeep.credentials import Secret
from upkeep.errors import ConfigError, SourceError, shown
from upkeep.urls import url_fault

TIMEOUT_S = (5.0, 60.0)  # to connect, between two bytes
MAX_ANSWER_BYTES = 64 * 2**20
TRIES = 5
WAIT_BUDGET_S = 90.0
MAX_WARNING_CHARS = 200
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class _Later(Exception):
    """The server could not answer now; ``wait_s`` is what it asked for, if it did."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class _Bearer(AuthBase):
    """A token in the header; an empty one sends nothing, and keeps ``~/.netrc`` out too."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass
class Api:
    """One server. ``warnings`` has what it said beside its answers, each once.

    A connection's login and password are basic auth; a password alone is a bearer token; its
    extra ``headers`` (such as X-Scope-OrgID) are sent along.
    """

    url: str
    secret: Secret = field(default_factory=Secret, repr=False)
    sleep: Callable[[float], None] = field(default_factory=lambda: time.sleep)
    jitter: random.Random = field(default_factory=random.Random)
    warnings: list[str] = field(default_factory=list)
    waited_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse an address that is not allowed, before anything is sent."""
        fault = url_fault(self.url)
        if fault:
            raise ConfigError("prometheus url", self.url, *fault)
        self._session = requests.Session()
        self._session.auth = (
            HTTPBasicAuth(self.secret.login, self.secret.password)
            if self.secret.login
            else _Bearer(self.secret.password)
        )
        headers = self.secret.extra.get("headers") or {}
        self._session.headers.update({str(k): str(v) for k, v in headers.items()})

    def matrix(self, query: str, start_s: float, end_s: float, step_s: int) -> list[dict[str, Any]]:
        """What a query was at ``start_s``, one ``step_s`` later, .. up to ``end_s``."""
        params = {"query": query, "start": start_s, "end": end_s, "step": step_s}
        return self._result("query_range", params, "matrix")

    def vector(self, query: str, at_s: float) -> list[dict[str, Any]]:
        """What a query was at one time."""
        return self._result("query", {"query": query, "time": at_s}, "vector")

    def names(self, path: str, **params: Any) -> list[str]:
        """Names of metrics or labels: ``labels`` or ``label/__name__/values``."""
        data = self.get(path, params)
        if not isinstance(data, list):
            raise SourceError(f"{self.url}: {path} gave {shown(data)}, not a list")
        return [str(name) for name in data]

    def get(self, path: str, params: Mapping[str, Any]) -> Any:
        """The ``data`` of ``/api/v1/<path>``.

        Raises:
            SourceError: refused, or still failing when the tries or the budget of waiting
                (90 s over all requests) are used up.

        """
        for number in range(1, TRIES + 1):
            try:
                return self._once(path, params)
            except _Later as later:
                wait_s = later.wait_s
                if wait_s is None:
                    wait_s = 0.5 * 2**number * self.jitter.uniform(0.5, 1.0)
                if number == TRIES or self.waited_s + wait_s > WAIT_BUDGET_S:
                    words = f"{self.url}: {path}: {later} ({number} tries)"
                    raise SourceError(words) from later
                self.waited_s += wait_s
                self.sleep(wait_s)
        raise AssertionError("unreachable: the last try raises")

    def _result(self, path: str, params: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
        data = self.get(path, params)
        found = data.get("result") if isinstance(data, dict) else None
        if not isinstance(found, list) or data.get("resultType") != kind:
            raise SourceError(f"{self.url}: {path} gave {shown(data)}, not a {kind}")
        if not all(isinstance(s, dict) and isinstance(s.get("metric"), dict) for s in found):
            raise SourceError(f"{self.url}: {path} gave a series without labels")
        return found

    def _once(self, path: str, params: Mapping[str, Any]) -> Any:
        try:
            with self._session.get(
                f"{self.url.rstrip('/')}/api/v1/{path}",
                params=dict(params),
                timeout=TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._body(response)
        except requests.RequestException as error:
            raise _Later(f"no answer ({type(error).__name__})") from error
        answer = _parsed(body)
        self._refuse(path, response, answer)
        for warning in answer.get("warnings") or ():
            words = f"prometheus warned: {shown(str(warning)[:MAX_WARNING_CHARS])}"
            if words not in self.warnings:
                self.warnings.append(words)
        return answer.get("data")

    def _body(self, response: requests.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_content(2**16):
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                most = f"more than {MAX_ANSWER_BYTES // 2**20} MiB"
                raise SourceError(f"{self.url}: the answer is {most}; narrow the selector")
            parts.append(part)
        return b"".join(parts)

    def _refuse(self, path: str, response: requests.Response, answer: dict[str, Any]) -> None:
        """Raise unless the answer is a good one."""
        status, said = response.status_code, str(answer.get("error") or "no reason given")
        words = f"HTTP {status}, {shown(said)}"
        if status in _AGAIN:
            raise _Later(words, _retry_after_s(response.headers.get("Retry-After")))
        if status in (401, 403):
            raise SourceError(f"{self.url}: {path}: HTTP {status}; check the connection")
        if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
            raise SourceError(f"{self.url}: {path}: HTTP {status}; redirects are not followed")
        if status != requests.codes.ok:
            raise SourceError(f"{self.url}: {path}: {words}")
        if answer.get("status") != "success":
            raise _Later(f"status {shown(answer.get('status'))}, {shown(said)}")


def _parsed(body: bytes) -> dict[str, Any]:
    """The answer, or an empty one where it is no JSON object (a proxy's page)."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after_s(header: str | None) -> float | None:
    """Seconds to wait, from either form of the header; None where it says nothing usable."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
