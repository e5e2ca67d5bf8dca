"""How a step speaks: marked lines on standard output, which a runner can tell from the noise of libraries."""

MARK = "[slipway]"


def say(text: str) -> None:
    """Print one progress line now; line breaks are folded so that it stays one."""
    print(MARK, " ".join(text.split()), flush=True)  # noqa: T201 (standard output is a step's channel)
