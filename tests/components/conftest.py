"""Fixtures of the stages: one small real run, an MLflow in a file, and an API server of Kubernetes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import kube_server
import pytest
from kube_server import KubeServer
from stages import Run, run_stages

from components.kube import Cluster


@pytest.fixture(scope="session")
def forest_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_stages(tmp_path_factory.mktemp("forest"), "train.trees=40")


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow with all its tables, which take seconds to make."""
    from components.tracking import Tracking

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    Tracking(f"sqlite:///{path}").initialise()
    return path


@pytest.fixture
def mlflow_uri(empty_mlflow: Path, tmp_path: Path) -> str:
    """The URI of an MLflow of the test's own."""
    shutil.copyfile(empty_mlflow, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeServer]:
    """An API server of Kubernetes on loopback that knows nothing yet; KUBECONFIG names it."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with kube_server.running(tmp_path) as server:
        yield server


@pytest.fixture
def cluster(server: KubeServer) -> Cluster:
    """A connection to it."""
    return Cluster.connect()
