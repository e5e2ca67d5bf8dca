"""What was answered, on its way to those who watch it: drift, live quality, the prediction log.

In the event loop an answer is remembered for feedback and put in line; a thread hands what has gathered to the watchers
every half second. Inputs are copied of a bounded number of rows each time, so watching costs a share of the machine
that does not grow with the load, and at most as many requests wait as are kept. A watcher that fails is logged once and
left out from then on; answers do not depend on it.
"""

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import time
from typing import Protocol

from serving.codec.answer import Scores
from serving.codec.query import Query
from serving.log import log
from serving.monitoring.record import Record

INTERVAL_SECONDS = 0.5
#: Rows whose inputs are kept in an interval, and their values: describing a large picture takes a while.
SAMPLED_ROWS, SAMPLED_VALUES = 128, 1 << 18
MOST_WAITING = 50_000
#: Bytes of inputs that wait, whoever asked for them.
MOST_BYTES = 64 << 20


class Watcher(Protocol):
    """Someone who is told what was answered."""

    def take(self, records: Sequence[Record]) -> None:
        """Take notice of answered requests, in order."""


class Observers:
    """The records of an interval, and the thread that hands them on.

    Args:
        watchers: To whom, in this order; they are called in every interval, if only with nothing.
        remember: Called at once with each record, in the event loop.
        wanted: Tells of a request id whether its inputs are wanted beyond the sample.
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        *,
        remember: Callable[[Record], None] | None = None,
        wanted: Callable[[str], bool] | None = None,
    ) -> None:
        self._watchers = list(watchers)
        self._remember, self._wanted = remember, wanted
        self._records: deque[Record] = deque()
        self._rows = self._values = self._bytes = 0
        self._ended = Event()
        self._thread = Thread(target=self._run, name="observers", daemon=True)
        self._thread.start()

    def add(self, query: Query, scores: Scores) -> None:
        """Note an answered request; never waits."""
        inputs = None
        sampled = self._rows < SAMPLED_ROWS and self._values < SAMPLED_VALUES
        if (sampled or (self._wanted and self._wanted(query.id))) and self._bytes < MOST_BYTES:
            # Copied: an input may be a part of a body that is a thousand times as large.
            inputs = {name: array.copy() for name, array in query.inputs.items()}
            self._rows += query.rows
            self._values += sum(array.size for array in inputs.values())
            self._bytes += sum(array.nbytes for array in inputs.values())
        record = Record(query.id, time(), inputs, scores.classes, scores.confidence)
        if self._remember:
            self._remember(record)
        if len(self._records) < MOST_WAITING:
            self._records.append(record)

    def close(self) -> None:
        """Hand on what is left and end."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            self._hand_on()
        self._hand_on()

    def _hand_on(self) -> None:
        """Hand on what has gathered; what comes meanwhile is of the next interval."""
        records = [self._records.popleft() for _ in range(len(self._records))]
        self._rows = self._values = self._bytes = 0
        for watcher in list(self._watchers):
            try:
                watcher.take(records)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next request shall be answered
                self._watchers.remove(watcher)
                log("fault", id=type(watcher).__name__, traceback="".join(traceback.format_exception(error)))
