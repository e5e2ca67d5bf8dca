"""``slipway optimize``: an int8 variant of a package, published only if it is faster and about as accurate."""

import argparse
import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.destination import Destination
    from components.optimize import Accepted, Judgement

REFUSED = 1
MILLISECOND = 1e-3


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", profile: argparse.ArgumentParser
) -> None:
    """Register the command."""
    optimize = commands.add_parser(
        "optimize", parents=[profile], help="make a package faster: 8-bit integers, if the accuracy stays"
    )
    optimize.add_argument("package", help="a path, file:///path or s3://bucket/name/sha256-...")
    optimize.add_argument("--data", metavar="SOURCE", help="its data, as data.source takes it; default: as its run did")
    optimize.add_argument(
        "--max-drop", type=float, default=0.01, metavar="SHARE",
        help="the most accuracy that it may lose, by the 95 %% interval; default: 0.01",
    )  # fmt: skip
    optimize.add_argument(
        "--min-speedup", type=float, default=1.1, metavar="RATIO", help="how much faster it must be; default: 1.1"
    )
    optimize.add_argument("--output", type=Path, metavar="FOLDER", help="write the package there and publish nothing")
    optimize.set_defaults(command=_optimize)


def _optimize(options: argparse.Namespace) -> int:
    from components.destination import Destination, cache_folder
    from components.fetch import fetch
    from components.optimize import Bounds, find_source, optimize
    from components.store import open_store
    from pipelines.errors import RunError
    from pipelines.home import Home

    bounds = Bounds(max_drop=options.max_drop, min_speedup=options.min_speedup)
    if options.output and options.output.exists():
        raise RunError(f"--output {options.output} exists already; a package is never overwritten, name a new folder")
    home = Home()
    os.environ.update(home.destinations() | home.quiet())  # data://NAME is in the store of this machine
    destination = Destination.from_environment()
    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        original = fetch(options.package, Path(scratch) / "packages")
        source = options.data or find_source(original, open_store(destination.store))
        target = options.output or Path(scratch) / "variant"
        judgement, accepted = optimize(original, source, bounds, target, cache_folder(home.path))
        _compare(judgement)
        if accepted is None:
            for fault in judgement.faults:
                _tell(f"refused   {fault}")
            return REFUSED
        _tell("accepted")
        _place(accepted, destination, options.output)
    return 0


def _compare(judgement: "Judgement") -> None:
    """Print original and variant side by side."""
    before, after = judgement.before, judgement.after
    rows = [("", "original", "int8", "")]
    large, small = (size / 1e6 for size in judgement.sizes)
    rows.append(("size", f"{large:.2f} MB", f"{small:.2f} MB", f"{large / small:.1f} times smaller"))
    for speed in judgement.speeds:
        called = f"{speed.rows} row{'' if speed.rows == 1 else 's'}"
        rows.append((called, _time(speed.before), _time(speed.after), f"{speed.ratio:.2f} times as fast, one thread"))
    drop, low, high = judgement.difference
    interval = f"{drop:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
    rows.append(("accuracy", f"{before['accuracy']:.4f}", f"{after['accuracy']:.4f}", interval))
    for name in ("log_loss", "calibration_error"):
        told = f"{before[name]:.4f}", f"{after[name]:.4f}", f"{after[name] - before[name]:+.4f}"
        rows.append((name.replace("_", " "), *told))
    rows.append(("agreement", "", f"{judgement.agreement:.2%}", f"of {judgement.rows:,} test rows get the same label"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, one, other, more in rows:
        _tell(f"{name:<{widths[0]}}  {one:>{widths[1]}}  {other:>{widths[2]}}  {more}".rstrip())


def _place(accepted: "Accepted", destination: "Destination", output: Path | None) -> None:
    """Publish the variant, unless it is where the user wanted it, and say how to go on."""
    from components.optimize import publish_variant

    place = str(output) if output else ""
    if not output:
        published = publish_variant(accepted.package, accepted.config, accepted.evaluation, destination)
        place = published.uri
        if published.version:
            aliases = ", ".join(published.aliases)
            _tell(f"mlflow    {accepted.config.name} version {published.version} ({aliases})")
    _tell(f"package   {place}")
    profile = f" --profile {destination.profile}" if destination.profile else ""
    _tell(f"next      slipway serve {shlex.quote(place)}{profile}")


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= MILLISECOND else f"{seconds * 1e6:.0f} us"


def _tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (the command line speaks on standard output)
