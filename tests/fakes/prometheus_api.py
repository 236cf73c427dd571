"""A stand-in for Prometheus' HTTP API that answers from planted series.

It knows just the queries that our source sends: a selector, ``count`` of it, ``count(count by
(label) (..))`` and ``last_over_time``. Points are answered as they were planted, so that what
no real server would answer can be tried. It does not prove that a query means what we think,
nor lookback, staleness or PromQL's arithmetic: the real Prometheus of
``test_prometheus_server`` does.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_MATCHER = re.compile(r'([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")')
_TESTS = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "=~": lambda value, wanted: re.fullmatch(wanted, value) is not None,
    "!~": lambda value, wanted: re.fullmatch(wanted, value) is None,
}


@dataclass
class Planted:
    """One series; a value may be anything that JSON can say."""

    labels: Mapping[str, str]
    points: list[tuple[Any, Any]] = field(default_factory=list)
    histograms: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What the next request gets in place of data."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class PrometheusApi:
    """The server; ``asked`` is (path, parameters, headers) of every request."""

    def __init__(self, series: Iterable[Planted] = ()) -> None:
        self.series = list(series)
        self.instead: deque[Answer] = deque()
        self.warnings: list[str] = []
        self.skew_s = 0.0  # how far beyond the end that was asked for it answers
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                params = {k: v[-1] for k, v in parse_qs(parts.query).items()}
                path = parts.path.removeprefix("/api/v1/")
                owner.asked.append((path, params, dict(self.headers)))
                answer = owner.instead.popleft() if owner.instead else owner._answer(path, params)
                body = answer.body if isinstance(answer.body, bytes) else None
                body = json.dumps(answer.body).encode() if body is None else body
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def plant(self, name: str, points: Iterable[tuple[Any, Any]], **labels: str) -> Planted:
        """Add a series; numbers become strings, as Prometheus writes them."""
        said = [(at, str(v) if isinstance(v, int | float) else v) for at, v in points]
        self.series.append(Planted({"__name__": name, **labels}, said))
        return self.series[-1]

    def _answer(self, path: str, params: Mapping[str, str]) -> Answer:
        data = self._data(path, params)
        body = {"status": "success", "data": data}
        return Answer(body=body | ({"warnings": self.warnings} if self.warnings else {}))

    def _data(self, path: str, params: Mapping[str, str]) -> Any:
        if path == "status/buildinfo":
            return {"version": "0.0-stand-in"}
        chosen = self._chosen(params.get("query") or params.get("match[]") or "{}")
        if path == "labels":
            return sorted({label for s in chosen for label in s.labels})
        if path == "label/__name__/values":
            return sorted({s.labels["__name__"] for s in chosen})
        if path == "query_range":
            result = self._range(params, chosen)
            return {"resultType": "matrix", "result": result}
        return {"resultType": "vector", "result": self._instant(params, chosen)}

    def _range(self, params: Mapping[str, str], chosen: list[Planted]) -> list[dict[str, Any]]:
        start_s, end_s = float(params["start"]), float(params["end"])
        if params["query"].startswith("count("):
            return [{"metric": {}, "values": [(start_s, str(len(chosen)))]}] if chosen else []
        step_s = float(params["step"]) + self.skew_s
        found = []
        for series in chosen:
            entry = {
                "metric": dict(series.labels),
                "values": [p for p in series.points if _within(p, start_s, end_s, step_s)],
                "histograms": [p for p in series.histograms if _within(p, start_s, end_s, step_s)],
            }
            entry = {key: value for key, value in entry.items() if value or key == "metric"}
            found += [entry] if len(entry) > 1 else []
        return found

    def _instant(self, params: Mapping[str, str], chosen: list[Planted]) -> list[dict[str, Any]]:
        query, at_s = params["query"], float(params["time"])
        by = re.match(r"count\(count by \((\w+)\)", query)
        if by:
            return [_one(at_s, len({s.labels.get(by.group(1), "") for s in chosen}))]
        if query.startswith("count("):
            return [_one(at_s, len(chosen))] if chosen else []
        found = []
        for series in chosen:
            for key, points in (("value", series.points), ("histogram", series.histograms)):
                before = [p for p in points if p[0] <= at_s]
                if before:
                    found.append({"metric": dict(series.labels), key: [at_s, before[-1][1]]})
        return found

    def _chosen(self, query: str) -> list[Planted]:
        matchers = [(n, op, json.loads(v)) for n, op, v in _MATCHER.findall(query)]
        return [
            series
            for series in self.series
            if all(_TESTS[op](series.labels.get(n, ""), wanted) for n, op, wanted in matchers)
        ]


def _within(point: tuple[Any, Any], start_s: float, end_s: float, step_s: float) -> bool:
    """Whether a request gets a point; one outside all days comes with the first request."""
    at = point[0]
    if not isinstance(at, int | float) or not 1e9 < at < 1e10:
        return True
    return start_s <= at < end_s + step_s


def _one(at_s: float, value: float) -> dict[str, Any]:
    return {"metric": {}, "value": [at_s, str(value)]}
