"""One request from its v2 object to scores: admitted, read, queued, and handed back; whatever brought it.

Refuses to be used before the package reproduced its golden outputs. Runs in the event loop, but for the graph, and for
reading what takes a while: pictures and large messages.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any

from modelpackage import Package
from serving.batching import EXPIRED, Batcher, Job
from serving.codec.answer import Scores, Writer
from serving.codec.query import Query, QueryReader, request_id
from serving.engine import Engine, cpu_limit
from serving.errors import (
    DisconnectedError,
    ExpiredError,
    NotReadyError,
    OverloadedError,
    RequestError,
    UnknownModelError,
)
from serving.memory import Memory
from serving.monitoring.metrics import Metrics
from serving.monitoring.monitor import Visit, known
from serving.monitoring.observers import Observers
from serving.settings import Settings

#: What came of a request: what was asked and its scores, or why there are none.
Outcome = tuple[Query, Scores] | RequestError
#: Makes the v2 JSON object of a message; ``data`` may also be raw bytes.
Read = Callable[[], Mapping[str, Any]]
#: Reading a larger message would hold up everybody else.
LARGE_BYTES = 16 << 10


class Ticket:
    """A request that was admitted; whoever waits for it may leave.

    Attributes:
        visit: What is known of it.
        done: Told what came of it.
        deadline: When it must be answered, by ``perf_counter``.
        query: What was read of it.
        job: Its way through the graph, while there is one.
        bytes: What its pixels take.
        open: Whether nobody has been told.
    """

    __slots__ = ("_predictor", "bytes", "deadline", "done", "job", "open", "query", "visit")

    def __init__(self, predictor: "Predictor", visit: Visit, done: Callable[[Outcome], None], deadline: float) -> None:
        self._predictor, self.visit, self.done, self.deadline = predictor, visit, done, deadline
        self.query: Query | None = None
        self.job: Job | None = None
        self.bytes = 0
        self.open = True

    def cancel(self) -> None:
        """Drop the request; nobody is told, and what has not begun is not done."""
        self._predictor.finish(self, DisconnectedError("the client left before its answer was ready"))

    def go_on(self) -> None:
        """Refuse to work on, between two parts of the work.

        Raises:
            ExpiredError: The time is over.
            DisconnectedError: Nobody waits any more.
        """
        if not self.open:
            raise DisconnectedError("nobody waits for this answer any more")
        if perf_counter() > self.deadline:
            raise ExpiredError(EXPIRED)


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
        memory: What the requests in work take.
    """

    def __init__(self, package: Package, settings: Settings, metrics: Metrics) -> None:
        self.package = package
        self.name = settings.name or package.descriptor.name
        self.reader = QueryReader(package.descriptor, settings)
        self.writer = Writer(package.descriptor, self.name)
        self.draining = False
        self._tickets: set[Ticket] = set()
        self.memory = Memory(settings.max_pending_bytes)
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
        self._readers = ThreadPoolExecutor(cpu_limit(), thread_name_prefix="readers")
        self._batcher = Batcher(
            self._engine.score,
            self._pace,
            self._loop,
            max_rows=self._settings.max_batch_rows,
            seconds=self._settings.batch_milliseconds / 1000,
            batched=self.metrics.batch.observe,
        )

    @property
    def ready(self) -> bool:
        """Whether requests are answered."""
        return self._batcher is not None

    @property
    def inviting(self) -> bool:
        """Whether new requests should come here: what a readiness probe asks."""
        return self.ready and not self.draining

    @property
    def pending(self) -> int:
        """How many requests are waiting or being answered."""
        return len(self._tickets)

    def expire(self) -> None:
        """Answer for requests whose time is over, wherever they are; to be called every now and then."""
        now = perf_counter()
        for ticket in [each for each in self._tickets if each.deadline < now]:
            self.finish(ticket, ExpiredError(EXPIRED))

    def stop(self) -> None:
        """End the threads; nothing is answered any more."""
        if self._batcher:
            self._engine.stop()
            self._batcher.close()
            self._batcher = None
            for ticket in list(self._tickets):
                ticket.cancel()
            self._readers.shutdown(cancel_futures=True)

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

    def submit(
        self, read: Read, visit: Visit, done: Callable[[Outcome], None], *, size: int, seconds: float | None = None
    ) -> Ticket:
        """Start answering a request that was admitted.

        Args:
            read: Makes its v2 JSON object, perhaps in a thread; its errors are those of the request.
            visit: When it began; gets its id and its number of rows.
            done: Told what came of it, in the event loop, unless the ticket is cancelled.
            size: Of the message, in bytes: a large one is read in a thread.
            seconds: How long the client waits, if it said so.

        Raises:
            RequestError: The request does not fit the protocol or the signature.
        """
        most = self._settings.predict_seconds
        deadline = perf_counter() + (most if seconds is None else min(seconds, most))
        ticket = Ticket(self, visit, done, deadline)
        if size < LARGE_BYTES:
            self._read(ticket, read)
            self._tickets.add(ticket)
            self._go(ticket, gather=visit.protocol == "rest")
        else:
            self._tickets.add(ticket)
            self._readers.submit(self._apart, ticket, partial(self._read, ticket, read))
        return ticket

    def finish(self, ticket: Ticket, outcome: Outcome) -> None:
        """Take a request off the books, once."""
        if not ticket.open:
            return
        ticket.open = False
        self._tickets.discard(ticket)
        self.memory.take(-ticket.bytes)
        # The job knows the ticket: a circle would be left to the garbage collector, which holds everybody up.
        job, ticket.job = ticket.job, None
        if job is not None:
            job.cancelled = True
        if not isinstance(outcome, DisconnectedError):
            ticket.done(outcome)

    def _read(self, ticket: Ticket, read: Read) -> None:
        fields = read()
        visit = ticket.visit
        visit.request_id = request_id(fields, self._settings.max_id_characters)
        ticket.query = self.reader.read(fields, visit.request_id)
        visit.rows = ticket.query.rows

    def _apart(self, ticket: Ticket, work: Callable[[], None]) -> None:
        """Do in a thread what takes a while; not for those that nobody waits for any more."""
        try:
            ticket.go_on()
            work()
        except Exception as error:  # noqa: BLE001  # whatever it is, the client shall get an answer
            self._loop.call_soon_threadsafe(self.finish, ticket, known(error, ticket.visit.request_id))
        else:
            self._loop.call_soon_threadsafe(self._go, ticket)

    def _go(self, ticket: Ticket, *, gather: bool = False) -> None:
        """Take a request that was read a step further: its pictures are decoded, or it waits for the graph."""
        query = ticket.query
        if not ticket.open or query is None or self._batcher is None:
            return
        if query.pictures:
            if not self.memory.fits(size := self.reader.pixel_bytes(query)):
                self.finish(ticket, OverloadedError("the requests in work fill the memory; try again in a second"))
                return
            ticket.bytes = size
            self.memory.take(size)
            decode = partial(self.reader.decode_pictures, query, ticket.go_on)
            self._readers.submit(self._apart, ticket, decode)
            return
        self.metrics.preprocess.observe(perf_counter() - ticket.visit.begun)
        ticket.job = Job(query.inputs, query.rows, ticket.deadline, lambda _, result: self._ran(ticket, result))
        # HTTP requests arrive together, gRPC hands over one call at a time.
        self._batcher.submit(ticket.job, gather=gather)

    def _ran(self, ticket: Ticket, result: Scores | Exception) -> None:
        job, query = ticket.job, ticket.query
        if isinstance(result, Exception):
            self.finish(ticket, known(result, ticket.visit.request_id))
        elif job is not None and query is not None:
            self.metrics.queue.observe(job.started - job.queued)
            self.metrics.predict.observe(job.ended - job.queued)
            self._observers.add(query, result)
            self.finish(ticket, (query, result))
