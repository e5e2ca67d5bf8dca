"""What is missing or wrong on this machine or on a cluster, each with its remedy; the words are all here.

A check is a function that yields findings and changes nothing that outlives it. A check that is refused or gets no
answer is a finding, too. For ``pipelines/cli_doctor.py``.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from components.errors import SlipwayError
from components.kube import FORBIDDEN, ClusterError
from pipelines.errors import RunError

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the answer.

    Attributes:
        level: A ``problem`` keeps something from working, a ``warning`` may.
        what: What was seen; never a secret.
        remedy: What to do about it; empty where all is well.
    """

    level: Level
    what: str
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]


def ok(what: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding("ok", what)


def warning(what: str, remedy: str) -> Finding:
    """Return a finding that may matter."""
    return Finding("warning", what, remedy)


def problem(what: str, remedy: str) -> Finding:
    """Return a finding that keeps something from working."""
    return Finding("problem", what, remedy)


def diagnose(checks: Iterable[Check]) -> Iterator[Finding]:
    """Run checks one after the other; none depends on another."""
    for check in checks:
        try:
            yield from check()
        except ClusterError as error:
            level: Level = "warning" if error.status == FORBIDDEN else "problem"
            yield of_error(error, level)
        except (SlipwayError, RunError, OSError) as error:
            yield of_error(error)


def of_error(error: Exception, level: Level = "problem") -> Finding:
    """Return an error of the house, which names the way out behind a semicolon, as a finding."""
    what, _, remedy = " ".join(str(error).split()).partition("; ")
    return Finding(level, what, remedy or "see the message above")
