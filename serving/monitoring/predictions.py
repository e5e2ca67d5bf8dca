"""The optional record of predictions: answered requests as gzip-compressed JSON lines in an object store.

Whole requests are sampled by a hash of their id, so replicas agree. What waits for a slow or dead store is bounded: the
oldest rows are dropped and counted, and neither answers nor the end of the process wait for it. An object may be stored
twice under one name, never under two. May be imported by whoever starts the predictor.

A row is one line::

    {"time":"2026-11-21T05:53:45.149Z","id":"7","row":0,"package":"sha256:<64 hex>","label":"setosa",
     "confidence":0.98,"inputs":{"measurements":[5.1,3.5,1.4,0.2]}}

Missing numbers are null. Of an image of more than 1024 values, brightness and contrast stand under ``described``.
"""

import gzip
import hashlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from modelpackage import Descriptor, describe
from serving.log import log
from serving.monitoring.record import Record
from serving.monitoring.sink import Sink, SinkError

#: An image of at most this many values is recorded whole.
IMAGE_VALUES = 1024
#: So many objects of the largest size may wait for the store.
WAITING_OBJECTS = 4
#: Between tries of a store that failed, and between lines about it.
RETRY_SECONDS, SILENT_SECONDS = 10.0, 60.0
CLOSE_SECONDS = 5.0
HOUR_SECONDS = 3600
#: The hash of an id is this many bytes.
HASH_BYTES = 8
GZIP_LEVEL = 6
OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


class Lines(NamedTuple):
    """Rows, as they will be stored: those of a request, or of an object."""

    rows: int
    content: bytes


class PredictionLog(Collector):
    """Records predictions from a thread of its own; also the collector of its metric.

    Args:
        sink: Where objects go.
        descriptor: Of the package that answers.
        name: Of the model, as it is served.
        sample: The share of requests, 0 to 1.
        interval: Longest time that a row waits for the next object, in seconds.
        max_rows: Most rows of an object, more only where one request has more.
        max_bytes_per_object: Most bytes of an object before compression, more only where one request has more.
        max_bytes_per_hour: Budget before compression; what comes after it is spent is dropped.
    """

    def __init__(
        self,
        sink: Sink,
        descriptor: Descriptor,
        *,
        name: str,
        sample: float = 1.0,
        interval: float = 60.0,
        max_rows: int = 10_000,
        max_bytes_per_object: int = 8 << 20,
        max_bytes_per_hour: int = 1 << 30,
    ) -> None:
        self._sink, self._descriptor, self._name = sink, descriptor, name
        self._below = int(sample * 256**HASH_BYTES)
        self._interval = interval
        self._max_rows, self._max_bytes, self._budget = max_rows, max_bytes_per_object, max_bytes_per_hour
        self._replica, self._objects = secrets.token_hex(4), count()
        self._changed = threading.Condition()
        self._waiting: deque[Lines] = deque()
        self._rows = self._bytes = 0
        self._hour = self._spent = 0
        self._written = self._dropped = 0
        self._told = -SILENT_SECONDS
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="predictions", daemon=True)
        self._thread.start()

    def sampled(self, request_id: str) -> bool:
        """Say whether a request is recorded; the same on every replica."""
        digest = hashlib.blake2b(request_id.encode(errors="replace"), digest_size=HASH_BYTES).digest()
        return int.from_bytes(digest, "big") < self._below

    def take(self, records: Iterable[Record]) -> None:
        """Take answered requests, from any thread but the one that answers; never wait for the store."""
        for record in records:
            if not self.sampled(record.id):
                continue
            if self._closing.is_set() or self._exhausted():
                self._drop(len(record.classes))
            else:
                self._add(Lines(len(record.classes), render(record, self._descriptor)))

    def close(self) -> None:
        """Write what waits, for at most five seconds; the rest is dropped."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        with self._changed:
            while self._waiting:
                self._dropped += self._pop().rows

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the metric, for a registry."""
        family = CounterMetricFamily(
            "slipway_prediction_log_rows", "Rows of sampled requests by what became of them", labels=["result"]
        )
        family.add_metric(["written"], self._written)
        family.add_metric(["dropped"], self._dropped)
        yield family

    def _exhausted(self) -> bool:
        hour = int(time.time() // HOUR_SECONDS)
        with self._changed:
            if hour != self._hour:
                self._hour, self._spent = hour, 0
            return self._spent >= self._budget

    def _drop(self, rows: int) -> None:
        with self._changed:
            self._dropped += rows

    def _add(self, lines: Lines) -> None:
        with self._changed:
            self._spent += len(lines.content)
            self._waiting.append(lines)
            self._rows += lines.rows
            self._bytes += len(lines.content)
            while self._bytes > WAITING_OBJECTS * self._max_bytes or self._rows > WAITING_OBJECTS * self._max_rows:
                self._dropped += self._pop().rows
            self._changed.notify_all()

    def _pop(self) -> Lines:
        lines = self._waiting.popleft()
        self._rows -= lines.rows
        self._bytes -= len(lines.content)
        return lines

    def _run(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(self._due, self._interval)
                closing = self._closing.is_set()
            while lines := self._next():
                self._deliver(lines)

    def _due(self) -> bool:
        return self._closing.is_set() or self._rows >= self._max_rows or self._bytes >= self._max_bytes

    def _next(self) -> Lines | None:
        """Take the lines of one object."""
        with self._changed:
            if not self._waiting:
                return None
            rows, content = self._pop()
            parts, size = [content], len(content)
            while self._waiting:
                more = self._waiting[0]
                if rows + more.rows > self._max_rows or size + len(more.content) > self._max_bytes:
                    break
                self._pop()
                parts.append(more.content)
                rows, size = rows + more.rows, size + len(more.content)
        return Lines(rows, b"".join(parts))

    def _deliver(self, lines: Lines) -> None:
        """Store an object, again after a pause as long as the process lives: what it holds up is bounded."""
        now = datetime.now(UTC)
        name = f"{self._name}/predictions/{now:%Y-%m-%d/%H%M%S}-{self._replica}-{next(self._objects)}.jsonl.gz"
        content = gzip.compress(lines.content, compresslevel=GZIP_LEVEL, mtime=0)
        while True:
            try:
                self._sink.put(name, content)
            except SinkError as error:
                self._tell(error)
                if self._closing.wait(min(self._interval, RETRY_SECONDS)):
                    self._drop(lines.rows)
                    return
            else:
                with self._changed:
                    self._written += lines.rows
                return

    def _tell(self, error: SinkError) -> None:
        if time.monotonic() - self._told >= SILENT_SECONDS:
            self._told = time.monotonic()
            log("predictions_not_written", error=str(error), waiting_rows=self._rows, dropped_rows=self._dropped)


def render(record: Record, descriptor: Descriptor) -> bytes:
    """Return the rows of an answered request as JSON lines."""
    when = datetime.fromtimestamp(record.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"time": when, "id": record.id.encode(errors="replace").decode()}
    package = f"sha256:{descriptor.digest}"
    tensors = _tensors(record.inputs or {}, descriptor.kind)
    lines = []
    for row, (index, confidence) in enumerate(zip(record.classes.tolist(), record.confidence, strict=True)):
        told = {"row": row, "package": package, "label": descriptor.labels[index], "confidence": confidence}
        values = {part: {name: rows[row] for name, rows in named.items()} for part, named in tensors.items()}
        lines.append(orjson.dumps(head | told | values, option=OPTIONS))
    return b"".join(lines)


def _tensors(inputs: dict[str, NDArray[Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Return what is recorded of the inputs, each with the row as its first index."""
    found: dict[str, dict[str, Any]] = {}
    for name, rows in inputs.items():
        flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
        if kind == "tabular" or flat.shape[1] <= IMAGE_VALUES:
            found.setdefault("inputs", {})[name] = flat.tolist() if flat.dtype == object else flat
        else:
            quantities = describe(rows, kind="image").items()
            found.setdefault("described", {})[name] = [
                {quantity: float(values[row]) for quantity, values in quantities} for row in range(len(rows))
            ]
    return found
