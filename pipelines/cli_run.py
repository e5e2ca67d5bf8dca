"""``slipway run``: the pipeline on this machine; imports wait until they are needed."""

import argparse
import os
import shlex
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.cli_sign import refuse_unsignable
from pipelines.cli_submit import pipeline_of, takes_configuration

if TYPE_CHECKING:
    from components.config import Config
    from pipelines.local import Outcome

say = partial(print, flush=True)
#: Options that only containers have.
LIMITS = ("cpu", "memory", "gpus")
CONTAINERS = ("image", *LIMITS)


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", profile: argparse.ArgumentParser
) -> None:
    """Register ``run``."""
    run = commands.add_parser("run", parents=[profile], help="run the pipeline on this machine")
    takes_configuration(run)
    run.add_argument(
        "--runner", choices=("subprocess", "docker"), default="subprocess", help="docker: steps in containers"
    )
    run.add_argument("--image", metavar="IMAGE", help="docker: the image of every step, instead of the compiled one")
    for resource in LIMITS:
        run.add_argument(f"--{resource}", metavar="LIMIT", help=f"docker: {resource} of every container")
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from components.config import read_config
    from pipelines.home import Home
    from pipelines.local import refuse_unusable, run_local

    config = _placed(read_config(options.config, options.set))
    refuse_unsignable()
    home = Home()
    refuse_unusable(config.plain(), home.path, options.runner)
    destinations = home.destinations()
    with tempfile.TemporaryDirectory() as folder:
        package = _package(options, config, destinations, Path(folder))
        directory = home.new_run(config.name)
        say(f"run       {directory}")
        arguments = {"config": config.plain(), **_limits(options)}
        outcome = run_local(package, arguments, directory, destinations | home.quiet(), say, options.runner)
    _summarise(outcome, config, destinations)
    return outcome.code


def _package(options: argparse.Namespace, config: "Config", destinations: dict[str, str], folder: Path) -> Path:
    """Return the compiled pipeline to run, once what its steps need is known to be there."""
    from pipelines.errors import RunError

    compiled = pipeline_of(config)
    if options.runner == "subprocess":
        for name in CONTAINERS:
            if getattr(options, name):
                raise RunError(f"--{name} is about containers and means nothing without --runner docker")
        refuse_untrainable(config)
        return compiled
    from pipelines.containers import Places, require

    if options.image:
        from pipelines.compile import with_image

        text = with_image(compiled.read_text(encoding="utf-8"), options.image)
        compiled = folder / compiled.name
        compiled.write_text(text, encoding="utf-8")
    places = Places.of({**os.environ, **destinations}, config.plain())
    require(compiled.read_text(encoding="utf-8"), places, _limits(options))
    return compiled


def _limits(options: argparse.Namespace) -> dict[str, str]:
    return {name: getattr(options, name) for name in LIMITS if getattr(options, name)}


def _placed(config: "Config") -> "Config":
    """Return the configuration with a path of its data that holds wherever a step runs on this machine."""
    if "://" in config.data.source:
        return config
    source = str(Path(config.data.source).expanduser().absolute())
    return config.model_copy(update={"data": config.data.model_copy(update={"source": source})})


def refuse_untrainable(config: "Config") -> None:
    """Refuse, before anything is started, what could not be trained on this machine."""
    from components.models import find
    from components.sweep import trials

    for model in sorted({trial.train.model for trial in trials(config)}):
        find(model).require()


def _summarise(outcome: "Outcome", config: "Config", destinations: dict[str, str]) -> None:
    for name in ("profile", "report"):
        if (outcome.directory / f"{name}.html").exists():
            say(f"{name:<9} {(outcome.directory / f'{name}.html').as_uri()}")
    if outcome.published:
        say(f"package   {outcome.published['uri']}")
        tracking = destinations["MLFLOW_TRACKING_URI"]
        if outcome.published["version"]:
            called = f"{config.name} version {outcome.published['version']} ({', '.join(outcome.published['aliases'])})"
            say(f"mlflow    {called}, run {outcome.published['run']}")
            seen = tracking if tracking.startswith("http") else f"mlflow ui --backend-store-uri {shlex.quote(tracking)}"
            say(f"          see it: {seen}")
        profile = os.environ.get("SLIPWAY_PROFILE")
        places = f" --profile {profile}" if profile else ""
        say(f"next      slipway serve {shlex.quote(outcome.published['uri'])}{places}")
        say("passed")
