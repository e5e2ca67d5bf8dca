"""What was answered, on its way to those who watch it: drift, live quality, the prediction log.

The event loop only appends; a thread hands what has gathered to the watchers every half second. Inputs are kept of a
bounded number of rows each time, so watching costs a share of the machine that does not grow with the load, and at most
as many requests wait as are kept. A watcher that fails is logged once and left out from then on; answers do not depend
on it.
"""

import traceback
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
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
        wanted: Tells of a request id whether its inputs are wanted beyond the sample.
    """

    def __init__(self, watchers: Sequence[Watcher], wanted: Callable[[str], bool] = lambda _id: False) -> None:
        self._watchers = list(watchers)
        self._wanted = wanted
        self._records: list[Record] = []
        self._rows = self._values = self._bytes = 0
        self._handing = Lock()
        self._ended = Event()
        self._thread = Thread(target=self._run, name="observers", daemon=True)
        self._thread.start()

    def add(self, query: Query, scores: Scores) -> None:
        """Note an answered request; never waits."""
        if len(self._records) >= MOST_WAITING or not self._watchers:
            return
        inputs = None
        sampled = self._rows < SAMPLED_ROWS and self._values < SAMPLED_VALUES
        if (sampled or self._wanted(query.id)) and self._bytes < MOST_BYTES:
            self._rows += query.rows
            self._values += sum(array.size for array in query.inputs.values())
            self._bytes += sum(array.nbytes for array in query.inputs.values())
            inputs = query.inputs
        self._records.append(Record(query.id, time(), inputs, scores.classes, scores.confidence))

    def close(self) -> None:
        """Hand on what is left and end."""
        self._ended.set()
        self._thread.join()

    def hand_on(self) -> None:
        """Hand on what has gathered."""
        with self._handing:
            records, self._records = self._records, []
            self._rows = self._values = self._bytes = 0
            for watcher in list(self._watchers):
                try:
                    watcher.take(records)
                except Exception as error:  # noqa: BLE001  # whatever it is, the next request shall be answered
                    self._watchers.remove(watcher)
                    log("fault", id=type(watcher).__name__, traceback="".join(traceback.format_exception(error)))

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            self.hand_on()
        self.hand_on()
