"""A process that has nothing to do any more when the one that started it is gone, even killed without a word."""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping

PR_SET_PDEATHSIG = 1
#: Names the parent: by the time when a process asks who it is, it may be another one already.
PARENT = "SLIPWAY_PARENT"


def of_this_process() -> dict[str, str]:
    """Return the variable that tells a child of this process whose it is."""
    return {PARENT: str(os.getpid())}


def end_with_parent(environment: Mapping[str, str] = os.environ) -> None:
    """Let this process be sent SIGTERM when its parent ends, or ended already; only Linux can."""
    if sys.platform != "linux":
        return
    parent = int(environment.get(PARENT, os.getppid()))
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
