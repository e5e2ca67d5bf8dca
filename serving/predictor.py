"""One request from its v2 object to scores: admitted, read, queued, and handed back; whatever brought it.

Refuses to be used before the package reproduced its golden outputs. Runs in the event loop, but for pictures and the
graph.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from modelpackage import Package
from serving.batching import Batcher, Job
from serving.codec.answer import Scores, Writer
from serving.codec.query import Query, QueryReader
from serving.engine import Engine, cpu_limit
from serving.errors import (
    DisconnectedError,
    NotReadyError,
    OverloadedError,
    RequestError,
    UnknownModelError,
)
from serving.monitoring.metrics import Metrics
from serving.monitoring.monitor import Visit, known
from serving.monitoring.observers import Observers
from serving.settings import Settings

#: Called in the event loop with the query and what came of it.
Done = Callable[[Query, Scores | RequestError], None]


class Ticket:
    """A request that was admitted; whoever waits for it may leave."""

    __slots__ = ("_predictor", "done", "job", "query")

    def __init__(self, predictor: "Predictor", query: Query, done: Done) -> None:
        self._predictor, self.query, self.done = predictor, query, done
        self.job: Job | None = None

    def cancel(self) -> None:
        """Drop the request; nobody is told, and what has not begun is not done."""
        self._predictor.finish(self, DisconnectedError("the client left before its answer was ready"))


class Predictor:
    """One package under one name.

    Args:
        package: A verified package.
        settings: Limits and batching.
        metrics: What to count in.

    Attributes:
        name: The model's name in URLs.
        reader: Reads its requests.
        writer: Writes its answers.
        draining: Set once the process was asked to end: probes turn to not ready, requests are still answered.
        pending: Requests that are waiting or being answered.
    """

    def __init__(self, package: Package, settings: Settings, metrics: Metrics) -> None:
        self.package = package
        self.name = settings.name or package.descriptor.name
        self.reader = QueryReader(package.descriptor, settings)
        self.writer = Writer(package.descriptor, self.name)
        self.draining = False
        self.pending = 0
        self.metrics = metrics
        self._settings = settings
        self._batcher: Batcher | None = None

    def load(self) -> None:
        """Open the graph and prove it.

        Raises:
            PackageError: The package is not what was sealed, or this machine does not reproduce it.
        """
        started = perf_counter()
        self._engine = Engine(self.package, threads=self._settings.threads)
        self._pace = self._engine.pace(self.package.golden().inputs)
        self.metrics.serve(self.package, self.name, perf_counter() - started)

    def start(self, observers: Observers) -> None:
        """Start answering, in the running event loop; the package has been loaded."""
        self._observers = observers
        self._loop = asyncio.get_running_loop()
        self._decoders = ThreadPoolExecutor(cpu_limit(), thread_name_prefix="pictures")
        self._batcher = Batcher(
            self._engine.score,
            self._pace,
            self._loop,
            max_rows=self._settings.max_batch_rows,
            seconds=self._settings.batch_milliseconds / 1000,
            batched=lambda _jobs, rows, _seconds: self.metrics.batch.observe(rows),
        )

    @property
    def ready(self) -> bool:
        """Whether requests are answered."""
        return self._batcher is not None

    @property
    def inviting(self) -> bool:
        """Whether new requests should come here: what a readiness probe asks."""
        return self.ready and not self.draining

    def expire(self) -> None:
        """Answer for requests whose time is over; to be called every now and then."""
        if self._batcher:
            self._batcher.expire()

    def stop(self) -> None:
        """End the threads; nothing is answered any more."""
        if self._batcher:
            self._engine.stop()
            self._batcher.close()
            self._batcher = None
            self._decoders.shutdown(cancel_futures=True)

    def check(self, name: str, version: str | None) -> None:
        """Refuse every model but this one.

        Raises:
            UnknownModelError: Another name, or a version that is neither absent nor this one.
        """
        if name != self.name:
            raise UnknownModelError(f"there is no such model here; this server has {self.name!r}")
        if version not in (None, "", self.writer.version):
            raise UnknownModelError(f"{self.name!r} has no such version here; this server has {self.writer.version!r}")

    def admit(self) -> None:
        """Refuse a request before it costs anything.

        Raises:
            NotReadyError: The package is not proven.
            OverloadedError: As many requests wait as may.
        """
        if not self.ready:
            raise NotReadyError(f"{self.name!r} is not ready; try again later")
        if self.pending >= self._settings.max_queue:
            raise OverloadedError("too many requests are waiting; try again in a second")

    def submit(self, fields: Mapping[str, Any], visit: Visit, done: Done, seconds: float | None = None) -> Ticket:
        """Start answering a v2 request that was admitted.

        Args:
            fields: The v2 JSON object; ``data`` may also be raw bytes.
            visit: Its id and when it began; gets the number of rows.
            done: Told what came of it, unless the ticket is cancelled.
            seconds: How long the client waits, if it said so.

        Raises:
            InvalidInputError: The request does not fit the signature.
        """
        query = self.reader.read(fields, visit.request_id)
        visit.rows = query.rows
        now = perf_counter()
        self.metrics.preprocess.observe(now - visit.begun)
        most = self._settings.predict_seconds
        deadline = now + (most if seconds is None else min(seconds, most))
        ticket = Ticket(self, query, done)
        ticket.job = Job(query.inputs, query.rows, deadline, lambda _, result: self._ran(ticket, result))
        self.pending += 1
        if query.pictures:
            self._decoders.submit(self._decode, ticket)
        else:
            # HTTP requests arrive together, gRPC hands over one call at a time.
            self._queue(ticket, gather=visit.protocol == "rest")
        return ticket

    def finish(self, ticket: Ticket, result: Scores | RequestError) -> None:
        """Take a request off the books, once."""
        job, ticket.job = ticket.job, None
        if job is None:
            return
        job.cancelled = True
        self.pending -= 1
        if not isinstance(result, DisconnectedError):
            ticket.done(ticket.query, result)

    def _queue(self, ticket: Ticket, *, gather: bool = False) -> None:
        if ticket.job and self._batcher:
            ticket.job.inputs = ticket.query.inputs
            self._batcher.submit(ticket.job, gather=gather)

    def _decode(self, ticket: Ticket) -> None:
        """Decode the pictures of a request, in a thread; not those that nobody waits for any more."""
        job = ticket.job
        try:
            if job is None:
                return
            if perf_counter() <= job.deadline:  # beyond, the batcher says so
                self.reader.decode_pictures(ticket.query)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client shall get an answer
            self._loop.call_soon_threadsafe(self.finish, ticket, known(error, ticket.query.id))
        else:
            self._loop.call_soon_threadsafe(self._queue, ticket)

    def _ran(self, ticket: Ticket, result: Scores | Exception) -> None:
        job = ticket.job
        if isinstance(result, Scores):
            if job is not None:
                self.metrics.queue.observe(job.started - job.queued)
                self.metrics.predict.observe(job.ended - job.queued)
            self._observers.add(ticket.query, result)
            self.finish(ticket, result)
        else:
            self.finish(ticket, known(result, ticket.query.id))
