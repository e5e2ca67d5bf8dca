"""``slipway submit``: the pipeline on a Kubeflow Pipelines server; imports wait until they are needed."""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.config import Config

PIPELINES = Path(__file__).parent


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register ``submit``."""
    submit = commands.add_parser("submit", help="run the pipeline on a Kubeflow Pipelines server and wait for it")
    takes_configuration(submit)
    submit.add_argument("--endpoint", required=True, metavar="URL", help="the server's API, like http://host:8888")
    submit.add_argument("--experiment", default="slipway", metavar="NAME")
    submit.add_argument("--namespace", default="kubeflow", metavar="NAME")
    submit.add_argument(
        "--service-account", metavar="NAME", help="of the run's pods, instead of the server's own choice"
    )
    submit.add_argument("--run-name", metavar="NAME")
    submit.add_argument("--token-file", type=Path, metavar="FILE", help="a bearer token for the server")
    submit.add_argument("--image", metavar="IMAGE", help="the image of every step, instead of the compiled one")
    submit.add_argument("--no-cache", dest="cache", action="store_false", help="train even if nothing changed")
    submit.add_argument("--timeout", type=float, default=86_400, metavar="SECONDS", help="default: a day")
    for resource in ("cpu", "memory", "gpus"):
        submit.add_argument(f"--{resource}", metavar="LIMIT", help=f"{resource} of the training step")
    submit.set_defaults(command=_submit)


def takes_configuration(parser: argparse.ArgumentParser) -> None:
    """Give a command its configuration and what is laid over it."""
    parser.add_argument("config", type=Path, help="a file like configs/digits.yaml")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a setting, like train.model=mnist_cnn",
    )


def pipeline_of(config: "Config") -> Path:
    """Return the compiled pipeline for a configuration: a sweep has one of its own."""
    return PIPELINES / ("sweep.yaml" if config.sweep else "training.yaml")


def _submit(options: argparse.Namespace) -> int:
    from components.config import read_config
    from pipelines.compile import with_image
    from pipelines.errors import RunError
    from pipelines.submit import submit

    config = read_config(options.config, options.set)
    if "://" not in config.data.source:
        raise RunError(
            f"data.source={config.data.source} is a path of this machine, which no step on a cluster sees; push it "
            "with slipway data push and name it data://NAME, or name a volume of the steps as file:///path"
        )
    arguments = {"config": config.plain()}
    arguments |= {name: getattr(options, name) for name in ("cpu", "memory", "gpus") if getattr(options, name)}
    token = options.token_file.read_text().strip() if options.token_file else None
    with tempfile.TemporaryDirectory() as folder:
        package = compiled = pipeline_of(config)
        if options.image:
            package = Path(folder) / compiled.name
            package.write_text(with_image(compiled.read_text(encoding="utf-8"), options.image), encoding="utf-8")
        code: int = submit(
            package,
            arguments,
            endpoint=options.endpoint,
            experiment=options.experiment,
            run_name=options.run_name,
            namespace=options.namespace,
            service_account=options.service_account,
            token=token,
            cache=options.cache,
            timeout_seconds=options.timeout,
            say=partial(print, flush=True),
        )
    return code
