"""A training for two machines, and a place where they find it."""

from pathlib import Path

import pytest
from stages import DIGITS, Run

from components import provenance
from components.config import Config, read_config
from components.dataset import Splits


@pytest.fixture(scope="session")
def config() -> Config:
    """A network on two machines."""
    pytest.importorskip("torch", reason="torch is not installed")
    return read_config(DIGITS, ["train.model=mnist_cnn", "train.device=cpu", "train.machines=2", "train.processes=4"])


@pytest.fixture(scope="session")
def splits(forest_run: Run) -> Path:
    """What ``prepare`` writes."""
    return forest_run.splits.directory


@pytest.fixture(scope="session")
def fingerprint(config: Config, splits: Path) -> str:
    """As ``prepare`` returns it."""
    return provenance.fingerprint(Splits(splits).rows.digest, [config.train.model])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and give up soon, so that nobody waits."""
    monkeypatch.setattr("components.machines.job.OUTAGE_SECONDS", 10.0)
    for module in ("job", "watch"):
        monkeypatch.setattr(f"components.machines.{module}.POLL_SECONDS", 0.01)
