"""How a step speaks: marked lines on standard output, which a runner can tell from the noise of libraries."""

MARK = "[slipway]"
_prefix = ""
_muted = False


def say(text: str) -> None:
    """Print one progress line now; line breaks are folded so that it stays one."""
    if not _muted:
        print(MARK, _prefix + " ".join(text.split()), flush=True)  # noqa: T201 (standard output is a step's channel)


def mute() -> None:
    """Say nothing from now on: of processes that do the same, one speaks."""
    global _muted  # noqa: PLW0603 (as below)
    _muted = True


def label(name: str) -> None:
    """Put a name before every line that follows: steps that run side by side share one output."""
    global _prefix  # noqa: PLW0603 (a process is one step)
    _prefix = f"{name}: "
