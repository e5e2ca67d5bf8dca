"""A network to optimise, and races that end at once."""

import pytest
from small_network import Network, sealed_network

from components.optimize import speed
from components.optimize.judgement import Bounds


@pytest.fixture(scope="session")
def network(tmp_path_factory) -> Network:
    pytest.importorskip("torch", reason="torch is not installed")
    return sealed_network(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="session")
def lenient() -> Bounds:
    """Bounds that the small test set can prove and a busy machine can't break."""
    return Bounds(max_drop=0.05, min_speedup=0.001)


@pytest.fixture(autouse=True)
def _short_races(monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 0.01)
