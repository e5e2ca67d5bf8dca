"""How a run fails: one line for the user, found in a step's log where need be."""

import re

ANSI = re.compile(r"\x1b\[[0-9;]*m")
TOLD = re.compile(r"\[slipway\] error: (.+)")


class RunError(Exception):
    """A run can't start or can't go on; the message is what the user sees."""


def error_of(log: str) -> str:
    """Return a step's own error out of its log.

    Args:
        log: What the step printed; indentation and colours of a runner do no harm.

    Returns:
        The error that the step told, else the last line of its last traceback, else the last line.
    """
    lines = [ANSI.sub("", line).strip() for line in log.splitlines()]
    for line in reversed(lines):
        if told := TOLD.search(line):
            return told[1]
    starts = [index for index, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    rest = lines[starts[-1] :] if starts else lines
    errors = [line for line in rest if re.match(r"^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b", line)]
    shown = errors[-1:] if starts and errors else [line for line in rest if line][-1:]
    return shown[0] if shown else "it printed nothing"
