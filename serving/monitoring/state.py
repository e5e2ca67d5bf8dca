"""What the watchers know, kept in a file, so that a restart forgets nothing.

Kept are the remembered predictions, the judgements and the drift window, of one package: another package starts empty.
Every :data:`INTERVAL` seconds, and at a clean end, what is new goes to the file in one transaction of SQLite's
write-ahead log (https://sqlite.org/wal.html). A process that is killed at any moment, by SIGKILL too, comes back with
all that its last finished flush wrote, and never with half of one: it loses at most what came since. After a loss of
power it may come back as of an earlier flush. The file holds what memory holds, so it grows no further than that.

Nothing here keeps a predictor from starting or from answering. A damaged file is set aside as ``.damaged``, in place of
an earlier one, and the predictor starts empty; a file that can't be used, or is in use by another process, is tried
again at every flush. The log has one line with the reason. May be imported by whoever wires the predictor.
"""

import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from serving.log import log
from serving.monitoring.drift import Drift
from serving.monitoring.feedback import Changes, Classes, Feedback
from serving.monitoring.record import Record

INTERVAL = 5.0
FILE = "monitoring.sqlite3"
TABLES = {
    "drift": "package TEXT NOT NULL, snapshot TEXT NOT NULL",
    "predictions": "number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, classes BLOB NOT NULL",
    "judgements": "number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, classes BLOB NOT NULL, truth BLOB NOT NULL",
}
SETTINGS = (
    # One process at a time; and so no shared memory, which a network volume lacks.
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA journal_size_limit = {4 << 20}",
)
#: What SQLite says of a file that is damaged, no database, or not of these tables.
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


class State:
    """Keeps drift and feedback of one package across restarts; what is found is restored at once.

    Args:
        directory: Made if it does not exist; each predictor that runs needs its own.
        package: Digest of the package.
        drift: What to keep.
        feedback: What else to keep.
        interval: Seconds between flushes.
    """

    def __init__(
        self, directory: Path, *, package: str, drift: Drift, feedback: Feedback, interval: float = INTERVAL
    ) -> None:
        self._path = directory / FILE
        self._package = package
        self._drift = drift
        self._feedback = feedback
        self._interval = interval
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._restored = self._written = False
        self._reason = ""
        self._open()
        self._due = time.monotonic() + interval

    def take(self, records: Sequence[Record]) -> None:  # noqa: ARG002  # drift and feedback took them before
        """Flush if it is time; to be called after the other watchers, and also when there are no records."""
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> bool:
        """Write what is new; return whether the file now has everything."""
        with self._lock:
            self._due = time.monotonic() + self._interval
            if self._connection is None:
                self._open()
            return self._connection is not None and self._flush(self._connection)

    def close(self) -> None:
        """Flush a last time and end."""
        self.flush()
        with self._lock:
            if self._connection:
                self._connection.close()
                self._connection = None

    def _open(self) -> None:
        """Open the file, and restore what it has if that was not done yet."""
        try:
            try:
                self._connection = self._connect()
            except (sqlite3.Error, ValueError, TypeError) as error:
                if not _damaged(error):
                    raise
                self._set_aside(str(error))
                self._connection = self._connect()
        except (OSError, sqlite3.Error) as error:
            self._tell(f"{self._path} can't be used, nothing is kept: {error}")

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            for statement in SETTINGS:
                connection.execute(statement)
            _check(connection)
            for table, columns in TABLES.items():
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
            if not self._restored:
                self._restore(connection)
        except BaseException:
            connection.close()
            raise
        self._restored, self._written = True, False
        return connection

    def _restore(self, connection: sqlite3.Connection) -> None:
        """Put what the file has before what the watchers have.

        Raises:
            ValueError: It is not what a flush writes.
        """
        kept = connection.execute("SELECT package, snapshot FROM drift").fetchone()
        if kept is None:
            return
        if kept[0] != self._package:
            self._tell(f"{self._path} is that of package {str(kept[0])[:12]}, starting empty")
            return
        if not isinstance(snapshot := json.loads(kept[1]), dict):
            raise TypeError("the drift window is no object")
        predictions = connection.execute("SELECT id, classes FROM predictions ORDER BY number").fetchall()
        judgements = connection.execute("SELECT id, classes, truth FROM judgements ORDER BY number").fetchall()
        self._feedback.restore(
            {request_id: _unpack(classes) for request_id, classes in predictions},
            {request_id: (_unpack(classes), _unpack(truth)) for request_id, classes, truth in judgements},
        )
        if reason := self._drift.restore(snapshot):
            self._tell(f"{self._path}: {reason}, starting that empty")

    def _flush(self, connection: sqlite3.Connection) -> bool:
        changes = self._feedback.changes(whole=not self._written)
        if not (changes.whole or changes.predictions or changes.judgements):
            return True
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._write(connection, changes)
            connection.execute("COMMIT")
        except (sqlite3.Error, UnicodeEncodeError) as error:
            # Whatever it was, be it an id that is no Unicode, the next flush opens the file anew and writes everything.
            connection.close()
            self._connection = None
            self._tell(f"{self._path} can't be written: {error}")
            return False
        self._written = True
        self._reason = ""
        return True

    def _write(self, connection: sqlite3.Connection, changes: Changes) -> None:
        if changes.whole:
            connection.execute("DELETE FROM predictions")
            connection.execute("DELETE FROM judgements")
        connection.execute("DELETE FROM predictions WHERE number < ?", [changes.oldest_prediction])
        connection.execute("DELETE FROM judgements WHERE number < ?", [changes.oldest_judgement])
        connection.executemany(
            "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?)",
            ((each.number, request_id, _pack(each.classes)) for request_id, each in changes.predictions.items()),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?)",
            (
                (each.number, request_id, _pack(each.classes), _pack(each.truth))
                for request_id, each in changes.judgements.items()
            ),
        )
        connection.execute("DELETE FROM drift")
        connection.execute("INSERT INTO drift VALUES (?, ?)", [self._package, json.dumps(self._drift.snapshot())])

    def _set_aside(self, reason: str) -> None:
        self._tell(f"{self._path} is damaged, set aside, starting empty: {reason}")
        for suffix in ("-wal", "-shm", "-journal"):
            self._path.with_name(FILE + suffix).unlink(missing_ok=True)
        self._path.replace(self._path.with_name(FILE + ".damaged"))

    def _tell(self, reason: str) -> None:
        """Log a reason, once as long as it stays the same."""
        if reason != self._reason:
            self._reason = reason
            log("state", reason=reason)


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise ValueError(verdict)


def _damaged(error: Exception) -> bool:
    """Tell damage from what may pass, as a lock or a full disk."""
    # SQLite gave no code where Python found text that is no UTF-8, and where the content is not ours.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in DAMAGED  # the lowest byte is the kind, the rest says more


def _pack(classes: Classes) -> bytes:
    return classes.astype("<i4").tobytes()


def _unpack(blob: bytes) -> Classes:
    return np.frombuffer(blob, "<i4").astype(np.int32)
