"""The runs of this machine, found by name and read back from the ``run.json`` that each one left.

It refuses what is no finished run. The modules of the command line may import it.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.config import flatten
from pipelines.errors import RunError

VERDICTS = {0: "published", 1: "refused", 2: "error"}
MOST_NAMED = 8


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run left.

    Attributes:
        name: Of its folder.
        verdict: How it ended.
        settings: By dotted name; empty where an older version kept none.
        metrics: On test rows; empty where there is no result.
        data: The version of the data, where it is known.
        seconds: All steps together.
        peak_mb: Of its largest step, in MB.
    """

    name: str
    verdict: str
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    data: str | None
    seconds: float
    peak_mb: int

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the accuracy; only a run with metrics has one."""
        return self.metrics["accuracy_low"], self.metrics["accuracy_high"]


def find_run(run: Path, home: Path) -> Path:
    """Return the folder of a run.

    Args:
        run: The folder itself, its name, or the last part of its name.
        home: The folder of all runs.

    Raises:
        RunError: There is no such run, or there are several.
    """
    if (run / "run.json").is_file():
        return run.resolve()
    names = sorted(path.name for path in home.iterdir() if path.is_dir()) if home.is_dir() else []
    asked = run.name
    chosen = [asked] if asked in names else [name for name in names if asked and name.endswith(f"-{asked}")]
    if len(chosen) == 1:
        return (home / chosen[0]).resolve()
    if chosen:
        raise RunError(f"{asked} may be {_listed(chosen)}; give more of the name")
    if not names:
        raise RunError(f"{run} is no run, and there is none in {home}; make one with slipway run")
    close = difflib.get_close_matches(asked, names, n=1)
    raise RunError(f"{run} is no run; {f'did you mean {close[0]}? ' if close else ''}there are {_listed(names)}")


def read_run(directory: Path) -> Run:
    """Read what a run left.

    Raises:
        RunError: The run has not ended, or its ``run.json`` is damaged.
    """
    try:
        content = json.loads((directory / "run.json").read_bytes())
        steps = content["steps"]
        return Run(
            name=directory.name,
            verdict=VERDICTS[content["code"]],
            settings=flatten(content.get("config") or {}),
            metrics=content.get("metrics") or {},
            data=content.get("data"),
            seconds=sum(step["seconds"] for step in steps),
            peak_mb=max((step["peak_mb"] for step in steps), default=0),
        )
    except FileNotFoundError:
        raise RunError(
            f"{directory} has no run.json, so that run has not ended or was interrupted; leave it out"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RunError(f"{directory / 'run.json'} is damaged; leave that run out") from None


def _listed(names: Sequence[str]) -> str:
    earlier = len(names) - MOST_NAMED
    return ", ".join(names[-MOST_NAMED:]) + (f" and {earlier} earlier ones" if earlier > 0 else "")
