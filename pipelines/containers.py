"""Every step in a container of its own: what the container engine must have, what a container sees and what it may.

Refused, before anything starts: no engine that answers, an image that is not there, a place that the steps' user can't
reach. For ``pipelines/cli.py``, ``pipelines/local.py`` and ``pipelines/engine.py``.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import yaml
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import DeviceRequest, Mount

from pipelines.docker_engine import docker_engine
from pipelines.errors import RunError
from pipelines.home import Home

#: Steps of root run as this user, the one of the image.
NOBODY = 65532
ROOT = 0
LABEL = "slipway.run"
SQLITE = "sqlite:///"
#: What steps read of the environment; anything else of the caller stays outside.
PASSED = re.compile(r"(SLIPWAY|AWS|MLFLOW|ORT|GRPC)_\w+|(?i:https?_proxy|no_proxy)")
#: More than the thread pools of a large machine need, few enough to stop a fork bomb.
MOST_PROCESSES = 2048
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[kMGT]|[KMGT]i)?")
UNITS = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@dataclass(frozen=True)
class User:
    """Whom the steps run as: numbers, because the image knows no names."""

    uid: int
    gid: int

    @classmethod
    def of_steps(cls) -> Self:
        """Return the caller, whose files the steps write, or somebody without rights in place of root."""
        return cls(NOBODY, NOBODY) if os.getuid() == ROOT else cls(os.getuid(), os.getgid())

    def may(self, path: Path, rights: int) -> bool:
        """Tell whether the mode of a file or folder gives these rights, of ``os.R_OK``, ``os.W_OK`` and ``os.X_OK``."""
        state = path.stat()
        shift = 6 if state.st_uid == self.uid else 3 if state.st_gid == self.gid else 0
        return (state.st_mode >> shift) & rights == rights


@dataclass(frozen=True)
class Places:
    """What lies on this machine and must be visible in a container, at the same path.

    Attributes:
        read: Files and folders that steps only read.
        folders: Folders that steps write into: store, checkpoints and cache.
        database: MLflow's sqlite file; its folder is written into, too, because the journal lies beside it.
    """

    read: tuple[Path, ...]
    folders: tuple[Path, ...]
    database: Path | None

    @classmethod
    def of(cls, environment: Mapping[str, str], config: Mapping[str, Any]) -> Self:
        """Read the places off what the steps will be given.

        Args:
            environment: Variables of the steps.
            config: Content of the configuration; whatever names an existing file or folder by its full path is one.
        """
        named = [_local(text) for text in (*_texts(config), environment.get("SLIPWAY_SIGNING_KEY", ""))]
        stores = [_local(environment.get(name, "")) for name in ("SLIPWAY_STORE", "SLIPWAY_CHECKPOINTS")]
        tracking = environment["MLFLOW_TRACKING_URI"]
        cache = Path(environment["SLIPWAY_CACHE"]).absolute()
        database = Path(tracking.removeprefix(SQLITE)).absolute() if tracking.startswith(SQLITE) else None
        return cls(
            tuple(dict.fromkeys(path for path in named if path and path.exists())),
            (*(store for store in stores if store), cache),
            database,
        )

    def written(self) -> tuple[Path, ...]:
        """Return the folders that steps write into, once each."""
        return tuple(dict.fromkeys((*self.folders, *((self.database.parent,) if self.database else ()))))

    def require(self) -> None:
        """Refuse what the steps' user can't reach, and make the folders that are missing.

        Raises:
            RunError: A place can't be read or written.
        """
        for folder in self.written():
            folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() != ROOT:
            return  # the caller's own rights, which show in the step as they do without a container
        user, home = User.of_steps(), Home().path
        outside = [folder for folder in self.written() if not folder.is_relative_to(home)]
        for path, rights, verb in (
            *((path, os.R_OK, "read") for path in self.read),
            *((path, os.R_OK | os.W_OK | os.X_OK, "written") for path in outside),
        ):
            if not user.may(path, rights):
                raise RunError(
                    f"{path} can't be {verb} by user {user.uid}, as whom root's steps run in containers; "
                    f"chown -R {user.uid} it, or be another user than root"
                )

    def hand_over(self, steps: Path) -> None:
        """Give root's own files in Slipway's folder to the steps' user; nothing becomes writable for everybody.

        Args:
            steps: The run's own folder for the steps.
        """
        if os.getuid() != ROOT:
            return
        user, home = User.of_steps(), Home().path
        trees = [folder for folder in (*self.folders, steps) if folder.is_relative_to(home)]
        own: list[Path] = []
        if self.database and self.database.is_relative_to(home):
            trees.append(self.database.with_name("mlartifacts"))
            own += [self.database.parent, *self.database.parent.glob(f"{self.database.name}*")]
        own += [path for tree in trees if tree.exists() for path in (tree, *tree.rglob("*"))]
        for path in own:
            if path.lstat().st_uid == ROOT:
                os.chown(path, user.uid, user.gid, follow_symlinks=False)

    def mounts(self) -> list[Mount]:
        """Return the mounts of a container, besides the run's own folder, which kfp mounts."""
        places = [(path, False) for path in self.written()] + [(path, True) for path in self.read]
        return [Mount(str(path), str(path), type="bind", read_only=only) for path, only in places]


def require(compiled: str, places: Places, limits: Mapping[str, str]) -> None:
    """Refuse a run that no container could be started for.

    Args:
        compiled: The compiled pipeline.
        places: What the containers are to see of this machine.
        limits: Kubernetes quantities.

    Raises:
        RunError: The engine does not answer, an image is not there, or a place can't be reached.
    """
    for limit in limits.values():
        quantity(limit)
    places.require()
    with docker_engine() as client:
        for image in images(next(yaml.safe_load_all(compiled))):
            try:
                client.images.get(image)
            except ImageNotFound:
                raise RunError(
                    f"the container engine has no image {image}; make images builds it, --image names another"
                ) from None


def images(spec: Mapping[str, Any]) -> list[str]:
    """Return the images of a compiled pipeline, once each."""
    return sorted({executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()})


def settings(
    spec: Mapping[str, Any], arguments: Mapping[str, Any], places: Places, run: Path, most_processors: int
) -> dict[str, Any]:
    """Return how every container is started: what the ``restricted`` Pod Security standard asks for, and more.

    Args:
        spec: The compiled pipeline's first document.
        arguments: Pipeline parameters.
        places: What the containers see of this machine.
        run: The run's folder, by which its containers are found again.
        most_processors: Those of the engine's machine, which refuses a larger limit.
    """
    defaults = spec["root"]["inputDefinitions"]["parameters"]
    # kfp gives every container the same limits, so all get those of the largest step, training.
    cpu, memory = (quantity(arguments.get(name) or defaults[name]["defaultValue"]) for name in ("cpu", "memory"))
    gpus = int(arguments.get("gpus") or defaults["gpus"]["defaultValue"])
    user = User.of_steps()
    environment = {name: value for name, value in os.environ.items() if PASSED.fullmatch(name)}
    return {
        # The image's own entry point is the command line, and kfp brings a command of its own.
        "entrypoint": [""],
        # The record of a run names the image that it ran in.
        "environment": {**environment, "SLIPWAY_IMAGE": ", ".join(images(spec))},
        "mounts": places.mounts(),
        # Servers on this machine's loopback stay within reach; elsewhere than on Linux there is no such network.
        "network_mode": "host" if sys.platform == "linux" else "bridge",
        "labels": {LABEL: str(run)},
        "user": f"{user.uid}:{user.gid}",
        "group_add": [] if os.getuid() == ROOT else [str(group) for group in os.getgroups()],
        "read_only": True,
        "tmpfs": {"/tmp": ""},  # noqa: S108 (a mount point)
        # As on a cluster, where the training step mounts as much; processes that train together share tensors there.
        "shm_size": "1g",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": MOST_PROCESSES,
        "nano_cpus": int(min(cpu, most_processors) * 1e9),
        "device_requests": [DeviceRequest(count=gpus, capabilities=[["gpu"]])] if gpus else [],
        "mem_limit": int(memory),
        "memswap_limit": int(memory),
    }


def processors() -> int:
    """Return how many processors the engine's machine has."""
    with docker_engine() as client:
        return int(client.info()["NCPU"])


def quantity(text: str) -> float:
    """Return the number that a Kubernetes quantity stands for.

    Raises:
        RunError: It is none.
    """
    if not (match := QUANTITY.fullmatch(str(text))):
        raise RunError(f"{text} is no quantity; write it like 2, 500m, 4G or 512Mi")
    return float(match[1]) * (UNITS[match[2]] if match[2] else 1)


@contextmanager
def cleared(run: Path) -> Iterator[None]:
    """Remove, at the end, the containers of a run that are left: those of an interrupted one."""
    try:
        yield
    finally:
        with docker_engine() as client:
            for container in client.containers.list(all=True, filters={"label": f"{LABEL}={run}"}, ignore_removed=True):
                _remove(container)


def _remove(container: Any) -> None:
    try:
        container.remove(force=True)
    except NotFound:
        return
    except APIError as error:  # it has just ended, and the engine is about to remove it by itself
        if error.status_code != HTTPStatus.CONFLICT:
            raise


def _local(text: str) -> Path | None:
    """Return the file or folder that a text names by its full path; nothing if it names something else."""
    path = unquote(urlsplit(text).path) if text.startswith("file:///") else text
    return Path(path) if path.startswith("/") else None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)
