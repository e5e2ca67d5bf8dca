"""The last word of a process that can't go on: on standard error, and where Kubernetes looks for it.

The status of a pod, and KServe's of an InferenceService, show what stands in the termination log. May be imported by
the programs of ``serving``.
"""

import sys
from contextlib import suppress
from pathlib import Path

#: Kubernetes makes the file in every container; elsewhere there is none, and none is made.
TERMINATION_LOG = Path("/dev/termination-log")


def refuse(reason: str, place: Path = TERMINATION_LOG) -> int:
    """Tell why this process ends, in one sentence; return the exit code that says so."""
    sys.stderr.write(f"{reason}\n")
    with suppress(OSError):
        if place.is_file():
            place.write_text(reason, encoding="utf-8")
    return 1
