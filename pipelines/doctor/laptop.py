"""Checks of this machine: Python, room, libraries, the GPU, the container engine, the compiled files.

They take two seconds. torch is not imported for them, except in a process of its own where a GPU is.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

from components import gpu
from pipelines.doctor import Check, Finding, ok, problem, warning
from pipelines.errors import RunError

ROOT = Path(__file__).parents[2]
#: What pyproject.toml says of Python.
OLDEST, BEYOND = (3, 11), (3, 14)
GIB = 1 << 30
#: A run of the smallest data set needs less; a network with its data more.
LEAST_DISK, ENOUGH_DISK = 1 * GIB, 5 * GIB
LEAST_MEMORY, ENOUGH_MEMORY = GIB // 2, 2 * GIB
LIBRARIES = (
    "kfp", "kserve", "kubernetes", "minio", "mlflow", "numpy",
    "onnx", "onnxruntime", "pydantic", "scikit-learn", "skl2onnx",
)  # fmt: skip
IMAGES = ("slipway/component", "slipway/predictor")
ENGINE_SECONDS, TORCH_SECONDS = 3, 60


def checks(home: Path) -> list[Check]:
    """Return the checks of this machine.

    Args:
        home: Slipway's folder; need not exist.
    """
    return [python, lambda: folder(home), memory, libraries, torch, engine, compiled]


def python(version: tuple[int, int] = sys.version_info[:2]) -> Iterator[Finding]:
    """Tell whether this Python will do."""
    told = f"Python {version[0]}.{version[1]}"
    if OLDEST <= version < BEYOND:
        yield ok(told)
    else:
        yield problem(f"{told} is not supported", "make a new environment with Python 3.11, 3.12 or 3.13")


def folder(home: Path) -> Iterator[Finding]:
    """Tell whether Slipway's folder can be written, and what room is left there."""
    exists = next(place for place in (home, *home.parents) if place.exists())
    if not exists.is_dir() or not os.access(exists, os.W_OK | os.X_OK):
        yield problem(f"{home} can't be written: {exists} is no folder of yours", "set SLIPWAY_HOME to another place")
        return
    yield ok(f"{home} {'can be written' if home.exists() else 'will be made by the first run'}")
    free = shutil.disk_usage(exists).free
    told = f"{free / GIB:.1f} GiB of disk are free at {exists}"
    yield from _room(told, free, LEAST_DISK, ENOUGH_DISK, "free some, or set SLIPWAY_HOME; slipway gc lists packages")


def memory(source: Path = Path("/proc/meminfo")) -> Iterator[Finding]:
    """Tell how much memory is left."""
    if source.is_file():
        found = re.search(r"^MemAvailable:\s+(\d+) kB", source.read_text(), re.MULTILINE)
        free = int(found[1]) * 1024 if found else 0
    else:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    told = f"{free / GIB:.1f} GiB of memory are there"
    yield from _room(told, free, LEAST_MEMORY, ENOUGH_MEMORY, "end other programs, or train a smaller model")


def _room(told: str, free: int, least: int, enough: int, remedy: str) -> Iterator[Finding]:
    if free >= enough:
        yield ok(told)
    else:
        yield (problem if free < least else warning)(told, remedy)


def libraries(lock: Path = ROOT / "requirements" / "laptop.txt") -> Iterator[Finding]:
    """Hold the installed main libraries against the lock of a checkout, which may have several for kinds of Python."""
    if not lock.is_file():
        yield ok(f"no {lock.name} to hold the libraries against, as this is no checkout")
        return
    locked: dict[str, list[str]] = {}
    for name, number in re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE):
        locked.setdefault(name, []).append(number)
    other = [
        f"{name} {installed(name) or 'is missing'} ({' or '.join(locked[name])})"
        for name in LIBRARIES
        if name in locked and installed(name) not in locked[name]
    ]
    if other:
        yield warning(f"libraries are not those of requirements/{lock.name}: {', '.join(other)}", "make setup")
    else:
        yield ok(f"libraries are those of requirements/{lock.name}")


def torch() -> Iterator[Finding]:
    """Tell whether neural networks can be trained, and whether on a GPU."""
    version = installed("torch")
    if version is None or util.find_spec("torch") is None:
        yield ok("torch is not installed; only neural networks need it: make setup-torch")
        return
    count = gpu.count()
    if not count:
        yield ok(f"torch {version}; no NVIDIA GPU is seen, so networks train on the CPU")
        return
    code = "import torch; print(torch.cuda.is_available())"
    done = subprocess.run(  # noqa: S603 (our own words)
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TORCH_SECONDS, check=False
    )
    if done.stdout.strip() == "True":
        yield ok(f"torch {version} sees {count} GPU{'s' if count > 1 else ''}")
    else:
        remedy = "install a build of torch for CUDA, no newer than the driver"
        yield warning(f"{count} NVIDIA GPUs are here, but torch {version} can't use them", remedy)


def engine() -> Iterator[Finding]:
    """Tell whether containers can be started here, and whether the images are there."""
    needed = "only slipway run --runner docker and make images need it"
    if util.find_spec("docker") is None:
        yield ok(f"the docker library is not installed; {needed}")
        return
    from docker.errors import DockerException

    from pipelines.docker_engine import docker_engine

    try:
        with docker_engine(ENGINE_SECONDS) as client:
            tags = {tag.partition(":")[0] for image in client.images.list() for tag in image.tags}
            told = f"container engine {client.version().get('Version', '?')}"
    except (RunError, DockerException, OSError):
        yield ok(f"no container engine answers; {needed}")
        return
    missing = [name for name in IMAGES if name not in tags]
    if missing:
        yield warning(f"{told}, without image {' and '.join(missing)}", "make images")
    else:
        yield ok(f"{told}, with {' and '.join(IMAGES)}")


def compiled() -> Iterator[Finding]:
    """Tell whether the compiled pipelines are what the sources say."""
    from pipelines.compile import COMPILED, compile_pipelines

    fresh = compile_pipelines()
    stale = [name for name, path in COMPILED.items() if not path.is_file() or path.read_text() != fresh[name]]
    if stale:
        yield problem(f"pipelines/{', '.join(stale)} is not what the sources say", "slipway compile")
    else:
        yield ok(f"{', '.join(COMPILED)} are what the sources say")


def installed(name: str) -> str | None:
    """Return the version of an installed library, None where it is missing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
