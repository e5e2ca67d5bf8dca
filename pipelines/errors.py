"""How a run fails: one line for the user, found in a step's log where need be."""

import re
from collections.abc import Mapping
from typing import Any

ANSI = re.compile(r"\x1b\[[0-9;]*m")
TRACEBACK = "Traceback (most recent call last)"
TOLD = re.compile(r"\[slipway\] (?:trial \d+/\d+: )?error: (.+)")


class RunError(Exception):
    """A run can't start or can't go on; the message is what the user sees."""


def error_of(log: str) -> str:
    """Return a step's own error out of its log.

    Args:
        log: What the step printed; indentation and colours of a runner do no harm.

    Returns:
        The error that the step told, else the exception of its last traceback, else the last line.
    """
    lines = [line for line in (ANSI.sub("", line).rstrip() for line in log.splitlines()) if line]
    for line in reversed(lines):
        if told := TOLD.search(line):
            return told[1]
    starts = [index for index, line in enumerate(lines) if line.lstrip().startswith(TRACEBACK)]
    rest = lines[starts[-1] :] if starts else []
    # Only the frames stand deeper than the traceback's first line; whatever a runner prints comes after the exception.
    raised = (line for line in rest[1:] if _indent(line) <= _indent(rest[0]))
    return next(raised, lines[-1] if lines else "it printed nothing").strip()


def killed(config: Mapping[str, Any]) -> str:
    """Return what to say in place of the shell's one word for a process that was killed.

    Args:
        config: Content of the configuration.
    """
    size = int(config.get("train", {}).get("batch_size", 0))
    more = "with --runner docker, --memory allows more"
    if size <= 2:  # noqa: PLR2004 (batch norm needs two)
        return f"it was killed, as happens when memory runs out; {more}"
    return (
        "it was killed; run it again to go on from its last checkpoint. Where memory ran out, as happens, try "
        f"train.batch_size={size // 2}, and {more}"
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
