"""Fixtures of the stages: one small real run, and an MLflow in a file."""

import shutil
from pathlib import Path

import pytest
from stages import Run, run_stages


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
