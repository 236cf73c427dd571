"""A stand-in for Azure Monitor's metrics endpoint on this machine: metrics:getBatch over HTTP.

It answers with the values it was given for a metric and a grain, and like Azure cuts a filtered
answer at ``top`` series (10 if nothing is said) and knows no metric that it was not given. It
proves that the official client's requests and our reading of its answers fit the protocol. It
does not prove what Azure would do with the request: it neither aggregates nor filters, and the
official client demands https of any real endpoint.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fakes.service_days import HOURS, START

Answer = tuple[int, dict[str, str], Any]
STEPS = {"PT1M": timedelta(minutes=1), "PT1H": timedelta(hours=1), "P1D": timedelta(days=1)}


@dataclass
class AzureMonitor:
    """What the stand-in holds, answers first, and has seen."""

    series: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    first: list[Answer] = field(default_factory=list)  # instead of the next answers
    code: str = "Success"
    interval: str | None = None  # said in place of the one that was asked for
    seen: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def answer(self, query: dict[str, str], resources: list[str]) -> Answer:
        """Give status, headers and body."""
        self.seen.append(query | {"resources": resources})
        if self.first:
            return self.first.pop(0)
        names, interval = query["metricnames"].split(","), query["interval"]
        unknown = [name for name in names if name not in {held for held, _ in self.series}]
        if unknown:
            words = f"Failed to find metric configuration for metric: {unknown[0]}"
            return 400, {}, {"error": {"code": "BadRequest", "message": words}}
        top = int(query.get("top", 10)) if "filter" in query else 10**6
        value = [self._metric(n, query["aggregation"], interval, top) for n in names]
        whole = {
            "starttime": query["starttime"],
            "endtime": query["endtime"],
            "interval": self.interval or interval,
            "namespace": query["metricnamespace"],
            "resourceid": resources[0],
            "value": value,
        }
        return 200, {}, {"values": [whole]}

    def _metric(self, name: str, aggregation: str, interval: str, top: int) -> dict[str, Any]:
        found = self.series.get((name, interval), [])[:top]
        said = [
            part | {"data": [_renamed(value, aggregation) for value in part["data"]]}
            for part in found
        ]
        return {
            "id": f"/metrics/{name}",
            "type": "Microsoft.Insights/metrics",
            "name": {"value": name, "localizedValue": name},
            "displayDescription": name,
            "unit": "Count",
            "errorCode": self.code,
            "timeseries": said,
        }


def _renamed(value: dict[str, Any], aggregation: str) -> dict[str, Any]:
    known = {"timeStamp": value["timeStamp"]}
    return known | ({aggregation.lower(): value["value"]} if "value" in value else {})


def series(
    interval: str, values: Sequence[float | None], *, first: int = 0, **labels: str
) -> dict[str, Any]:
    """Give one series: a value for each grain from the ``first`` on; None leaves the value out."""
    data: list[dict[str, Any]] = []
    for number, value in enumerate(values, start=first):
        at = START + number * STEPS[interval]
        known = {"timeStamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        data.append(known if value is None else known | {"value": value})
    named = [{"name": {"value": name.lower()}, "value": v} for name, v in labels.items()]
    return {"metadatavalues": named, "data": data}


def minutes(an_hour: int, hours: Sequence[int] = HOURS) -> list[float | None]:
    """Give a day's minutes: one a minute for the first ``an_hour`` minutes of each hour."""
    return [
        1.0 if hour in hours and minute < an_hour else None
        for hour in HOURS
        for minute in range(60)
    ]


@contextmanager
def serving(held: AzureMonitor) -> Iterator[AzureMonitor]:
    """Serve on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            query |= {"path": parts.path, "authorization": self.headers["Authorization"]}
            status, headers, answer = held.answer(query, body["resourceids"])
            data = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
