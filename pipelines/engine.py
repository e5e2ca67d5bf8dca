"""One run of a compiled pipeline by kfp.local, as a process of its own: kfp keeps global state and patches ``print``.

Usage: ``python -m pipelines.engine PACKAGE ROOT ARGUMENTS_JSON RUNNER``. Talks on standard output only;
:mod:`pipelines.local` reads it.
"""

import fcntl
import json
import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any, Literal

import yaml
from kfp import components, local

from components.tracking import Tracking
from pipelines import containers

SQLITE = "sqlite:///"


def main(package: Path, root: Path, arguments: dict[str, Any], runner: Literal["subprocess", "docker"]) -> int:
    """Run the pipeline.

    Args:
        package: The compiled file.
        root: Directory for the artifacts of every step.
        arguments: Pipeline parameters.
        runner: Each step is a process of this machine, or a container.

    Returns:
        0 if every step succeeded, else 1.
    """
    initialise_tracking(os.environ["MLFLOW_TRACKING_URI"])
    compiled = without_retries(package.read_text(encoding="utf-8"))
    pipeline = components.load_component_from_text(compiled)
    local.init(
        runner=in_containers(compiled, root, arguments)
        if runner == "docker"
        else local.SubprocessRunner(use_venv=False),
        pipeline_root=str(root),
        raise_on_error=True,
        enable_caching=False,
    )
    # kfp.local writes the interpreter into a shell script as it is, so a path with a space would fall apart.
    sys.executable = shlex.quote(sys.executable)
    # Resources, images and accelerators are the cluster's; that they mean nothing here is no news.
    warnings.simplefilter("ignore")
    try:
        pipeline(**arguments)
    except RuntimeError as error:
        print(error, flush=True)  # noqa: T201 (the channel to the parent)
        return 1
    return 0


def in_containers(compiled: str, root: Path, arguments: dict[str, Any]) -> local.DockerRunner:
    """Return kfp's runner of containers, and make what they write into theirs."""
    places = containers.Places.of(os.environ, arguments["config"])
    root.mkdir(exist_ok=True)
    places.hand_over(root)
    spec = next(yaml.safe_load_all(compiled))
    return local.DockerRunner(**containers.settings(spec, arguments, places, root.parent, containers.processors()))


def without_retries(compiled: str) -> str:
    """Return a compiled pipeline without its retries.

    They are for pods that a cluster loses, and a server repeats no step that ended with an error; kfp.local would.
    """
    documents = list(yaml.safe_load_all(compiled))
    spec = documents[0]
    for component in (spec["root"], *spec["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task.pop("retryPolicy", None)
    return yaml.safe_dump_all(documents, sort_keys=False)


def initialise_tracking(uri: str) -> None:
    """Create the tables of a fresh sqlite file before any step writes, one process at a time.

    Several first users at once leave a half-migrated file behind.
    """
    if not uri.startswith(SQLITE):
        return
    database = Path(uri.removeprefix(SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            Tracking(uri).initialise()


if __name__ == "__main__":
    runner: Any = sys.argv[4]
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), runner))
