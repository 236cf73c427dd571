"""MLflow's client, bounded in time: every failure is a TrackingError, nothing ever hangs.

``import mlflow`` costs about two CPU seconds (pandas, FastAPI and OpenTelemetry come with any of
its modules), so it happens at the first call, not before. The limits below are defaults of
MLflow's own environment variables: what an operator sets is left alone.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from upkeep.errors import TrackingError

BUDGET_S = 40.0  # no call starts later; with the last call's own 18 s it stays below a minute
REQUEST_TIMEOUT_S = 8
UPLOAD_BYTES_PER_S = 20e6  # slowest upload that is waited for
LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST_TIMEOUT_S),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
MAX_WORDS = 300


class Refused(TrackingError):
    """MLflow answered, and said no; ``code`` is its error code."""

    def __init__(self, words: str, code: str) -> None:
        """Keep MLflow's error code beside its words."""
        self.code = code
        super().__init__(words)


class Mlflow:
    """The client for one piece of work: one server, one budget in seconds."""

    def __init__(self, uri: str, budget_s: float = BUDGET_S) -> None:
        """Nothing is imported or asked before the first call."""
        self.uri, self._budget_s = uri, budget_s
        self._client: Any = None
        self._deadline = 0.0

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of ``MlflowClient``.

        Raises:
            Refused: the server said no.
            TrackingError: it cannot be reached, or the budget is spent.

        """
        return self._bounded(self._connected(), method, args, kwargs)

    def call_store(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of MLflow's tracking store: its client has none for labels and queues.

        Raises:
            Refused: the server said no.
            TrackingError: it cannot be reached, or the budget is spent.

        """
        self._connected()
        from mlflow.tracing.client import TracingClient

        return self._bounded(TracingClient(self.uri).store, method, args, kwargs)

    def attach(self, place: str, name: str, data: bytes) -> None:
        """Put a trace's attachment where the trace keeps them; ``place`` is an artifact URI."""
        with self.transfer(len(data)):
            from mlflow.store.artifact import artifact_repository_registry as registry

            with _explained(self.uri, "attach"):
                found = registry.get_artifact_repository(place, tracking_uri=self.uri)
            self._bounded(found, "upload_attachment", (name, data), {})

    def _bounded(
        self, target: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if time.monotonic() > self._deadline:
            spent = f"{self._budget_s:.0f} s are spent before {method}"
            raise TrackingError(f"MLflow at {self.uri} is too slow: {spent}")
        with _explained(self.uri, method):
            return getattr(target, method)(*args, **kwargs)

    @contextmanager
    def transfer(self, size_bytes: int) -> Iterator[None]:
        """Allow the calls inside more time, as ``size_bytes`` through the wire need."""
        extra_s = size_bytes / UPLOAD_BYTES_PER_S
        name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
        self._connected()
        self._deadline += extra_s
        before = os.environ[name]
        os.environ[name] = str(int(int(before) + extra_s))
        try:
            yield
        finally:
            os.environ[name] = before

    def _connected(self) -> Any:
        if self._client is None:
            self._client = _client(self.uri)
            self._deadline = time.monotonic() + self._budget_s
        return self._client


def _client(uri: str) -> Any:
    for name, value in LIMITS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient
    with _explained(uri, "connect"):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def _explained(uri: str, method: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException, RestException

    try:
        yield
    except RestException as error:
        words = f"MLflow at {uri} refused {method}: {_one_line(error)}"
        raise Refused(words, error.error_code) from error
    except (MlflowException, NotImplementedError, OSError) as error:
        raise TrackingError(f"MLflow at {uri} failed in {method}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= MAX_WORDS else text[: MAX_WORDS - 1] + "…"
