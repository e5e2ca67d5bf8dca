"""Requests that wait together run together: micro-batches in a worker thread, without a timer.

One batch is in the graph at a time, and what arrives meanwhile is the next one. So a request that is alone waits for
nobody, and under load the batches grow by themselves. A batch holds no more rows than run in the configured time,
because beyond that it gains nothing and only makes its members wait. A batch that takes less time than the thread would
take to wake up runs in place, unless the latest ones took longer than they should. Each job gets its own result or its
own error: if a batch fails, its jobs run one by one.

Refuses a job when the queue is full, and drops one whose client left or whose time is over before it runs. Everything
but the worker runs in the event loop.
"""

import asyncio
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import NamedTuple

import numpy as np

from serving.codec.answer import Scores
from serving.codec.query import Arrays
from serving.errors import ExpiredError, InvalidInputError
from serving.log import log

#: What waking a thread and coming back costs: batches that are shorter run in the event loop, which holds it up for
#: less time than reading a large request does.
WAKE_SECONDS = 0.0001
#: The weight of the latest batch in how much longer than its pace the graph takes.
LATEST = 0.2
#: What the worker is called for.
WORK, END = "work", "end"
EXPIRED = "the time for an answer is over; send fewer requests at once, or smaller ones"


class Pace(NamedTuple):
    """How long a graph takes: seconds for a batch of one row, and for each row more."""

    first: float
    more: float

    def seconds(self, rows: int) -> float:
        """Return the time that a batch takes."""
        return self.first + self.more * (rows - 1)

    def rows(self, seconds: float) -> int:
        """Return how many rows run in a time, at least one."""
        return 1 + max(0, int((seconds - self.first) / max(self.more, 1e-9)))


class Job:
    """A request on its way through the graph.

    Args:
        inputs: By tensor name, each of shape (rows, ...).
        rows: At least one.
        deadline: When it is dropped, by ``perf_counter``.
        done: Called in the event loop with what came of it, once, unless the job was cancelled.

    Attributes:
        cancelled: Set by whoever does not want the result any more.
        queued: When it was submitted, by ``perf_counter``.
        started: When its batch began.
        ended: When its batch ended.
    """

    __slots__ = ("cancelled", "deadline", "done", "ended", "inputs", "queued", "rows", "started")

    def __init__(
        self, inputs: Arrays, rows: int, deadline: float, done: Callable[["Job", Scores | Exception], None]
    ) -> None:
        self.inputs, self.rows, self.deadline, self.done = inputs, rows, deadline, done
        self.cancelled = False
        self.queued = self.started = self.ended = 0.0


#: A batch that ran: its jobs and their results, its rows, and its seconds.
Ran = tuple[list[tuple[Job, Scores | Exception]], int, float]


class Batcher:
    """The queue in front of a graph, and the thread behind it.

    Args:
        score: Runs the graph; never twice at one time.
        pace: How long that takes.
        loop: The event loop in which results are delivered.
        max_rows: The most rows of several jobs in a batch; a larger job runs alone.
        seconds: The longest time a batch shall take; a job that takes longer runs in parts.
        batched: Told of each batch in the event loop: its rows.
    """

    def __init__(
        self,
        score: Callable[[Arrays], Scores],
        pace: Pace,
        loop: asyncio.AbstractEventLoop,
        *,
        max_rows: int,
        seconds: float,
        batched: Callable[[int], None],
    ) -> None:
        self._score, self._pace, self._loop, self._batched = score, pace, loop, batched
        self._part_rows = pace.rows(seconds)
        self._max_rows = min(max_rows, self._part_rows)
        self._waiting: deque[Job] = deque()
        self._awake = self._closed = False
        #: How much longer than its pace the graph takes these days: on other values, or on a busier machine.
        self._lag = 0.0
        # Only wakes the worker; the jobs are in the deque, where they can be taken together.
        self._calls: SimpleQueue[str] = SimpleQueue()
        self._worker = Thread(target=self._work, name="engine", daemon=True)
        self._worker.start()

    def submit(self, job: Job, *, gather: bool) -> None:
        """Queue a job.

        Args:
            job: What to run.
            gather: Whether to wait for what else the event loop has just read, which then joins the batch.
        """
        job.queued = perf_counter()
        self._waiting.append(job)
        if not self._awake:
            self._awake = True
            if gather:
                self._loop.call_soon(self._begin)
            else:
                self._begin()

    def close(self) -> None:
        """Let the running batch end and stop the worker; what waits is not run."""
        self._closed = True
        self._calls.put(END)
        self._worker.join()

    def _begin(self) -> None:
        """Run what waits: here if that is over in no time, else in the worker."""
        rows = sum(job.rows for job in self._waiting)
        if self._pace.seconds(rows) + self._lag < WAKE_SECONDS:
            while batch := self._take():
                self._ran(*self._run(batch))
            self._awake = False
        else:
            self._calls.put(WORK)

    def _work(self) -> None:
        while self._calls.get() is WORK:
            batch = self._take()
            if not batch:
                self._loop.call_soon_threadsafe(self._rest)
            while batch:
                ran, batch = self._run(batch), self._take()
                self._loop.call_soon_threadsafe(self._came, ran, not batch)

    def _came(self, ran: Ran, last: bool) -> None:  # noqa: FBT001  # call_soon_threadsafe knows no keywords
        """Take what the worker has done, in the event loop."""
        self._ran(*ran)
        if last:
            self._rest()

    def _rest(self) -> None:
        """Note that the worker is done; a job that came after its last look called nobody."""
        self._awake = bool(self._waiting)
        if self._awake:
            self._begin()

    def _take(self) -> list[Job]:
        """Take the jobs of the next batch, in order; the expired and the cancelled go without running."""
        batch: list[Job] = []
        rows = 0
        expired: list[tuple[Job, Scores | Exception]] = []
        now = perf_counter()
        while self._waiting and not self._closed and (not batch or rows + self._waiting[0].rows <= self._max_rows):
            job = self._waiting.popleft()
            if now > job.deadline:
                expired.append((job, ExpiredError(EXPIRED)))
            elif not job.cancelled:
                batch.append(job)
                rows += job.rows
        if expired:
            self._loop.call_soon_threadsafe(self._deliver, expired)
        return batch

    def _run(self, batch: list[Job]) -> Ran:
        started = perf_counter()
        results: Iterable[Scores | Exception]
        try:
            results = self._together(batch)
        except Exception as error:  # noqa: BLE001  # whatever the runtime raises belongs to one of the jobs
            results = [error] if len(batch) == 1 else [self._alone(job) for job in batch]
        ended = perf_counter()
        for job in batch:
            job.started, job.ended = started, ended
        return list(zip(batch, results, strict=True)), sum(job.rows for job in batch), ended - started

    def _together(self, batch: list[Job]) -> list[Scores | Exception]:
        if len(batch) == 1:
            return [_finite(self._in_parts(batch[0]))]
        names = batch[0].inputs
        scores = self._score({name: np.concatenate([job.inputs[name] for job in batch]) for name in names})
        found: list[Scores | Exception] = []
        place = 0
        for job in batch:
            found.append(_finite(_rows(scores, slice(place, place + job.rows))))
            place += job.rows
        return found

    def _alone(self, job: Job) -> Scores | Exception:
        try:
            return _finite(self._in_parts(job))
        except Exception as error:  # noqa: BLE001  # see _run
            return error

    def _in_parts(self, job: Job) -> Scores:
        """Run a job of many rows in parts, so that its memory has a bound and it can be dropped between them."""
        if job.rows <= self._part_rows:
            return self._score(job.inputs)
        parts = []
        for place in range(0, job.rows, self._part_rows):
            if job.cancelled or perf_counter() > job.deadline:
                raise ExpiredError(EXPIRED)
            rows = slice(place, place + self._part_rows)
            parts.append(self._score({name: array[rows] for name, array in job.inputs.items()}))
        outputs = {name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs}
        classes, confidence = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("classes", "confidence")
        )
        return Scores(outputs, classes, confidence)

    def _ran(self, results: list[tuple[Job, Scores | Exception]], rows: int, seconds: float) -> None:
        self._lag += LATEST * (max(0.0, seconds - self._pace.seconds(rows)) - self._lag)
        self._batched(rows)
        self._deliver(results)

    def _deliver(self, results: list[tuple[Job, Scores | Exception]]) -> None:
        for job, result in results:
            if not job.cancelled:
                try:
                    job.done(job, ExpiredError(EXPIRED) if job.ended > job.deadline else result)
                except Exception as error:  # noqa: BLE001  # the others of the batch shall get theirs
                    log("fault", id="", traceback="".join(traceback.format_exception(error)))


def _rows(scores: Scores, rows: slice) -> Scores:
    outputs = {name: array[rows] for name, array in scores.outputs.items()}
    return Scores(outputs, scores.classes[rows], scores.confidence[rows])


def _finite(scores: Scores) -> Scores | InvalidInputError:
    """Return scores of which a label can be told, or what the client did wrong: the golden examples had finite ones."""
    for array in scores.outputs.values():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return InvalidInputError(
                "the model has no finite answer for these values; send values like those it was trained on"
            )
    return scores
