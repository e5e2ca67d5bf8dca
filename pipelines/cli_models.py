"""``slipway models | trace | rollback | register | gc``: what is published, where it came from, and what is served."""

import argparse
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.destination import Destination
    from components.housekeeping import Stray
    from components.store import Store
    from components.tracking.registry import Registry

SHORT = 12
DAY = 86_400.0
UNITS = (("d", DAY), ("h", 3600.0), ("min", 60.0))


def add_parsers(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", profile: argparse.ArgumentParser
) -> None:
    """Register the commands."""
    models = commands.add_parser("models", parents=[profile], help="show the registered models, the newest first")
    models.add_argument("name", nargs="?", help="one model instead of all")
    models.set_defaults(command=_models)

    trace = commands.add_parser("trace", parents=[profile], help="tell where a model came from")
    trace.add_argument("what", nargs="?", help="NAME@ALIAS, NAME@VERSION, or a digest with at least 8 digits")
    trace.add_argument("--request", metavar="ID", help="the model that answered this request")
    trace.add_argument("--log", type=Path, metavar="FILE", help="with --request: the predictor's log; default: stdin")
    trace.set_defaults(command=_trace)

    rollback = commands.add_parser("rollback", parents=[profile], help="make the version before champion again")
    rollback.add_argument("name", help="the model")
    rollback.add_argument("--reason", required=True, metavar="TEXT", help="kept with the version")
    rollback.add_argument("--to", metavar="VERSION", help="another version than the one before")
    rollback.set_defaults(command=_rollback)

    register = commands.add_parser("register", parents=[profile], help="enter into MLflow what it missed while down")
    register.add_argument("name", nargs="?", help="one model instead of all")
    register.set_defaults(command=_register)

    gc = commands.add_parser(
        "gc", parents=[profile], help="list, or remove, packages and checkpoints that nothing needs"
    )
    gc.add_argument("--remove", action="store_true", help="remove them")
    gc.add_argument(
        "--overlays", action="append", type=Path, default=[], metavar="PATH",
        help="files or folders that say what is served; default: kustomize/ where it exists",
    )  # fmt: skip
    gc.add_argument("--older-than", type=float, default=1.0, metavar="DAYS", help="default: 1")
    gc.set_defaults(command=_gc)


def _models(options: argparse.Namespace) -> int:
    destination, registry = _places()
    versions = registry.versions(options.name)
    rows = [("MODEL", "VERSION", "ALIAS", "DIGEST", "ACCURACY", "95 % INTERVAL", "DATA", "AGE")]
    for version in versions:
        interval = " to ".join(version.tags.get(f"accuracy_{end}", "?") for end in ("low", "high"))
        figures = (
            version.digest[:SHORT],
            version.tags.get("accuracy", "?"),
            interval,
            version.tags.get("data", "")[:SHORT],
        )
        rows.append((version.name, version.version, ", ".join(version.aliases), *figures, _age(version.created)))
    if not versions:
        _tell(f"no model{f' {options.name}' if options.name else ''} is registered in {destination.tracking}")
        return 0
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        _tell("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _trace(options: argparse.Namespace) -> int:
    from pipelines.errors import RunError
    from pipelines.trace import answered_by, find, trace

    if (options.what is None) == (options.request is None):
        raise RunError("trace takes one of NAME@ALIAS, NAME@VERSION, a digest, or --request ID with the log")
    destination, registry = _places()
    what = options.what or answered_by(options.request, options.log)
    version = find(registry.versions(what.partition("@")[0] if "@" in what else None), what)
    for name, text in trace(version, destination):
        _tell(f"{name:<11}{text}")
    return 0


def _rollback(options: argparse.Namespace) -> int:
    from components.tracking.registry import BEFORE_TAG, CHAMPION
    from pipelines.errors import RunError

    if not options.reason.strip():
        raise RunError("--reason is empty; say why, for whoever looks at the version later")
    _, registry = _places()
    versions = {version.version: version for version in registry.versions(options.name)}
    champion = next((version for version in versions.values() if CHAMPION in version.aliases), None)
    if champion is None:
        raise RunError(f"{options.name} has no champion; slipway models shows what is registered")
    wanted = options.to or champion.tags.get(BEFORE_TAG)
    if wanted is None:
        raise RunError(f"{options.name} version {champion.version} is the first champion; name another one with --to")
    if wanted not in versions:
        raise RunError(f"{options.name} has no version {wanted}; there are {', '.join(versions)}")
    if wanted == champion.version:
        raise RunError(f"{options.name} version {wanted} is champion already")
    registry.roll_back(champion, versions[wanted], options.reason)
    _tell(f"champion  {options.name} version {wanted}, before it was {champion.version}")
    _tell(f"package   {versions[wanted].uri}")
    return 0


def _register(options: argparse.Namespace) -> int:
    from components.housekeeping import register
    from components.store import open_store

    destination, _ = _places()
    found = register(open_store(destination.store), destination, options.name)
    places = f"MLflow ({destination.tracking}) and the store ({destination.store})"
    _tell(f"{len(found)} entered: {places}" if found else f"nothing to enter: {places} know the same runs")
    return 0


def _gc(options: argparse.Namespace) -> int:
    from components.destination import checkpoints
    from components.housekeeping import given_up, strays
    from components.store import open_store
    from pipelines.home import Home

    destination, _ = _places()
    store, seconds = open_store(destination.store), options.older_than * DAY
    overlays = options.overlays or [path for path in [Path("kustomize")] if path.is_dir()]
    done = "removed" if options.remove else "to remove; slipway gc --remove does it"
    found = strays(store, destination, overlays, seconds)
    _clear(store, found, remove=options.remove)
    _tell(f"{len(found)} packages {done}" if found else "something refers to every package")
    if place := checkpoints({**os.environ, **Home().destinations()}):
        kept = open_store(place)
        left = given_up(kept, seconds)
        _clear(kept, left, remove=options.remove)
        _tell(f"{len(left)} folders of checkpoints {done}" if left else "no old checkpoints are left behind")
    return 0


def _clear(store: "Store", found: "list[Stray]", *, remove: bool) -> None:
    """List what is to go, and let it go."""
    from components.housekeeping import remove as remove_stray

    for stray in found:
        state = "" if stray.whole else ", half written"
        _tell(f"{store.uri}/{stray.folder}  {stray.size / 1e6:.1f} MB, {_age(time.time() - stray.age)} old{state}")
        if remove:
            remove_stray(store, stray)


def _places() -> "tuple[Destination, Registry]":
    from components.destination import Destination
    from components.errors import ConfigError
    from components.tracking import Tracking
    from components.tracking.registry import Registry
    from pipelines.home import Home

    home = Home()
    os.environ.update(home.quiet())
    destination = Destination.from_environment({**os.environ, **home.destinations()})
    if destination.tracking is None:
        raise ConfigError("MLFLOW_TRACKING_URI=none names no MLflow, which knows the versions; name one")
    return destination, Registry(Tracking(destination.tracking))


def _tell(text: str) -> None:
    print(text)  # noqa: T201 (the command line speaks on standard output)


def _age(created: float) -> str:
    seconds = max(0.0, datetime.now(UTC).timestamp() - created)
    for unit, size in UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
