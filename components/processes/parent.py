"""A process that has nothing to do any more when the one that started it is gone, even killed without a word."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Let this process be sent SIGTERM when its parent ends; only Linux can."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before this one could ask
        os.kill(os.getpid(), signal.SIGTERM)
