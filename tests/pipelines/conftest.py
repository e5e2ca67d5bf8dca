"""Real runs of the compiled pipeline on this machine, made once."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import kube_server
import pytest

from components.kube import Cluster

ROOT = Path(__file__).parents[2]
SLIPWAY = str(Path(sys.executable).with_name("slipway"))


@dataclass(frozen=True)
class Command:
    """A finished command line of ``slipway``."""

    code: int
    out: str
    err: str
    home: Path


@pytest.fixture(scope="session")
def slipway(tmp_path_factory: pytest.TempPathFactory):
    """Runs ``slipway ...`` in a process of its own, with one folder for all its files.

    The working directory is a user's: it has packages of the same names as ours, which must not be imported.
    """
    home = tmp_path_factory.mktemp("home")
    place = tmp_path_factory.mktemp("a user's project")
    (place / "configs").symlink_to(ROOT / "configs")
    for name in ("modelpackage", "components", "pipelines", "serving"):
        (place / name).mkdir()
        (place / name / "__init__.py").write_text("raise ImportError('this is the package of the user')")
    unwanted = ("SLIPWAY_STORE", "SLIPWAY_RUN", "MLFLOW_TRACKING_URI")
    own = {name: value for name, value in os.environ.items() if name not in unwanted}

    def run(*arguments: str, **environment: str) -> Command:
        done = subprocess.run(
            [SLIPWAY, *arguments],
            cwd=place,
            env={**own, "SLIPWAY_HOME": str(home), **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Command(done.returncode, done.stdout, done.stderr, home)

    return run


@pytest.fixture(scope="session")
def passed(slipway) -> Command:
    return slipway("run", "configs/digits.yaml", "--set", "train.trees=40")


@pytest.fixture(scope="session")
def refused(slipway, passed) -> Command:
    return slipway("run", "configs/digits.yaml", "--set", "train.trees=40", "--set", "gate.minimum=1")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An API server of Kubernetes on loopback that knows nothing yet; KUBECONFIG names it."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with kube_server.running(tmp_path) as server:
        yield server


@pytest.fixture
def cluster(server) -> Cluster:
    """A connection to it."""
    return Cluster.connect()
