"""JSON lines on standard output: one for each event, one for each inference request, in the order they were given.

One daemon thread writes, so a reader that stalls never holds an answer back: what it can't take is kept up to a bound,
then dropped and counted. What a client shapes stays under 200 bytes. May be imported by every module of ``serving``.
"""

import atexit
import json
import os
import re
import threading
import time

#: Gathered this long before they are written, so that a busy server makes 20 writes a second and not thousands.
BATCH_SECONDS = 0.05
BATCH_BYTES = 64 << 10
#: Five thousand request lines and more; events may take as much again, for they are few and say why.
BUFFER_BYTES = 1 << 20
#: How long an event waits for its own writing, and the end of the process for the last lines.
EVENT_SECONDS, CLOSE_SECONDS = 0.5, 1.0
#: Keeps a request's log line under 200 bytes, and a UUID whole.
ID_CHARACTERS = 36
PLAIN = re.compile(rf"[ !#-\[\]-~]{{0,{ID_CHARACTERS}}}")
NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")


class Writer:
    """Lines on their way to a file descriptor.

    Args:
        descriptor: Open for writing; blocking or not.
        limit: Most bytes that wait.
    """

    def __init__(self, descriptor: int, limit: int = BUFFER_BYTES) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._waiting = 0
        self._hurry = self._stalled = self._ended = False
        self._thread: threading.Thread | None = None
        #: Lines that were given and never written.
        self.dropped = 0

    def append(self, line: bytes) -> None:
        """Add a line of a request, which ends with a line feed; return at once."""
        self._append(line, self._limit)

    def event(self, line: bytes) -> None:
        """Add a line and wait until it is written, unless the reader has stalled."""
        self._append(line, 2 * self._limit)
        if not self._stalled:
            self._stalled = not self.flush(EVENT_SECONDS)

    def flush(self, seconds: float) -> bool:
        """Write what waits; return whether that was done within the time."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._waiting, seconds)

    def close(self) -> None:
        """Write what waits, within a second; later lines are dropped."""
        self.flush(CLOSE_SECONDS)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _append(self, line: bytes, limit: int) -> None:
        with self._changed:
            if self._ended or self._waiting + len(line) > limit:
                self.dropped += 1
                return
            self._lines.append(line)
            self._waiting += len(line)
            if len(self._lines) == 1 or self._waiting >= BATCH_BYTES:
                self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._ended)
                if not self._lines:
                    return
                self._changed.wait_for(self._due, BATCH_SECONDS)
                batch, self._lines = self._lines, []
            written = self._write(b"".join(batch))
            with self._changed:
                self._waiting -= sum(map(len, batch))
                self.dropped += 0 if written else len(batch)
                self._hurry = bool(self._hurry and self._waiting)
                self._stalled = False
                self._changed.notify_all()

    def _due(self) -> bool:
        return self._hurry or self._ended or self._waiting >= BATCH_BYTES

    def _write(self, content: bytes) -> bool:
        """Write all; return False where that failed."""
        rest = memoryview(content)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # whoever shares the descriptor made it so
                time.sleep(BATCH_SECONDS)
            except BrokenPipeError:  # whoever read the log is gone; answers go on
                self._ended = True
                return False
            except OSError:  # a full disk: there may be room again
                return False
        return True


#: Standard output. Its number and not ``sys.stdout``, whose lock a stalled write would keep from the interpreter's end.
output = Writer(1)
atexit.register(output.close)
#: The current second, as a number and as text.
_second = (0, "")


def log(event: str, **fields: str | float) -> None:
    """Write one line: the time (UTC), the event and its fields, in this order."""
    line = json.dumps({"time": _now(), "event": event, **fields}, separators=(",", ":"))
    output.event(line.encode() + b"\n")


def request_line(id: str, code: str, digest: str, ms: float, rows: int, protocol: str) -> bytes:  # noqa: A002 (its key)
    """Return the line of an inference request, for :meth:`Writer.append`.

    Args:
        id: The client's, of any form.
        code: The status, as the protocol writes it.
        digest: The first 12 digits of the package's.
        ms: How long the answer took, in milliseconds.
        rows: How many it has.
        protocol: ``rest`` or ``grpc``.
    """
    return (
        f'{{"time":"{_now()}","event":"request","id":"{loggable(id)}","code":"{code}","digest":"{digest}",'
        f'"ms":{ms:.3f},"rows":{rows},"protocol":"{protocol}"}}\n'
    ).encode()


def loggable(request_id: str) -> str:
    """Shorten a client's id, and replace what would need escapes, so that it can't stretch a line."""
    if PLAIN.fullmatch(request_id):
        return request_id
    return NOT_PLAIN.sub("?", request_id[:ID_CHARACTERS])


def _now() -> str:
    global _second  # noqa: PLW0603 (one assignment of a tuple, so threads never see half of it)
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    known, text = _second
    if known != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _second = (seconds, text)
    return f"{text}.{milliseconds:03}Z"
