"""Real runs of the compiled pipeline on this machine, made once."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Command:
    """A finished command line of ``slipway``."""

    code: int
    out: str
    err: str
    home: Path


@pytest.fixture(scope="session")
def slipway(tmp_path_factory: pytest.TempPathFactory):
    """Runs ``slipway ...`` in a process of its own, with one folder for all its files."""
    home = tmp_path_factory.mktemp("home")
    unwanted = ("SLIPWAY_STORE", "SLIPWAY_RUN", "MLFLOW_TRACKING_URI")
    own = {name: value for name, value in os.environ.items() if name not in unwanted}

    def run(*arguments: str, **environment: str) -> Command:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", *arguments],
            cwd=ROOT,
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
