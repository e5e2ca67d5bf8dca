"""How many processor cores this process may use: what a container is limited to, or the machine has."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cores(cgroup: Path = CGROUP) -> float:
    """Return the cores that this process may use.

    Args:
        cgroup: Where the limits of this container are told, in version 2 or 1.
    """
    allowed = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    told = [_words(cgroup / "cpu.max")]
    told += [_words(cgroup / "cpu" / "cpu.cfs_quota_us") + _words(cgroup / "cpu" / "cpu.cfs_period_us")]
    limits = [int(words[0]) / int(words[1]) for words in told if len(words) > 1 and words[0].isdecimal()]
    return min([allowed, *limits])


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []
