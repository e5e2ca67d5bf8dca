"""One JSON line on standard output for each event; lines that a client shapes stay under 200 bytes."""

import sys
from contextlib import suppress
from datetime import UTC, datetime

import orjson


def log(event: str, **fields: str | float) -> None:
    """Write one line: the time (UTC), the event and its fields, in this order."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = orjson.dumps({"time": time, "event": event, **fields}, option=orjson.OPT_APPEND_NEWLINE)
    # Whoever read the log may be gone; answers go on.
    with suppress(BrokenPipeError):
        sys.stdout.write(line.decode())
        sys.stdout.flush()
