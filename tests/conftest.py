"""What every test may ask for."""

from pathlib import Path

import pytest
import tiny

from modelpackage import Package


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A sealed package of the tiny model; tests must not change it (copy it first)."""
    return tiny.seal(tmp_path_factory.mktemp("sealed") / "package")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A path at which nothing exists yet."""
    return tmp_path / "package"
