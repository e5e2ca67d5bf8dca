"""MLflow: a connection that gives up in time, the runs (runs.py) and the registered versions (registry.py).

No other module imports mlflow. Refused: a server that can't be reached, or that is slower than a run may wait.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

# MLflow's own defaults keep a caller waiting for four minutes when the server is down; these give up within one.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.errors import TrackingError

T = TypeVar("T")

#: What publishing may wait for MLflow, all calls together; looking for the champion has a third of a minute.
MOST_SECONDS = 40.0


class Tracking:
    """A connection to MLflow.

    Args:
        uri: A server's URL, or ``sqlite:///path`` on a laptop.
        seconds: What all calls together may take.
    """

    def __init__(self, uri: str, seconds: float = MOST_SECONDS) -> None:
        self.uri = uri
        self._limit, self._left = seconds, seconds
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def initialise(self) -> None:
        """Make the first contact, which creates the tables of an empty sqlite file.

        Raises:
            TrackingError: MLflow can't be reached.
        """
        self.call(lambda: self.client.search_experiments(max_results=1))

    def call(self, action: Callable[[], T]) -> T:
        """Do something with MLflow, in the time that is left to this connection.

        Args:
            action: Uses :attr:`client`.

        Raises:
            TrackingError: MLflow refused, can't be reached, or took longer.
        """
        found: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                found.append(action())
            except BaseException as error:  # noqa: BLE001 (raised again by the caller's thread)
                failed.append(error)

        # A thread, because a server that sends a byte now and then meets every timeout of a single read.
        thread, start = threading.Thread(target=run, daemon=True), time.monotonic()
        thread.start()
        thread.join(self._left)
        self._left = max(0.0, self._left - (time.monotonic() - start))
        if found:
            return found[0]
        if failed and not isinstance(failed[0], MlflowException):
            raise failed[0]
        raise TrackingError(f"MLflow at {self.uri}: {_told(failed, self._limit)}") from None


def pages(search: Callable[..., Any]) -> list[Any]:
    """Return everything that a search of MLflow finds, page by page."""
    found, token = [], None
    while True:
        page = search(page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _told(failed: list[BaseException], limit: float) -> str:
    if not failed:
        return f"no answer within {limit:.0f} s; check that the server is not overloaded"
    first = str(failed[0]).strip().splitlines()[0].split(": HTTPConnection")[0].partition(" with exception")[0]
    return f"{first}; check MLFLOW_TRACKING_URI and that the server runs"
