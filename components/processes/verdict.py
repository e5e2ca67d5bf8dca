"""What a worker has to say at its end: nothing when all is well, else one line in a file beside the job."""

from pathlib import Path

STOPPED = "stopped"


def write_verdict(folder: Path, rank: int, told: str) -> None:
    """Say how a worker ended."""
    (folder / f"verdict-{rank:06d}").write_text(told, encoding="utf-8")


def verdicts(folder: Path) -> int:
    """Return how many workers of this machine ended by their own word."""
    return len(list(folder.glob("verdict-*")))


def read_verdict(folder: Path) -> str | None:
    """Return what the worker of the lowest rank said, if one said something."""
    said = sorted(folder.glob("verdict-*"))
    return said[0].read_text(encoding="utf-8") if said else None
