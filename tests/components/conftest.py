"""Fixtures of the stages: one small real run."""

import pytest
from stages import Run, run_stages


@pytest.fixture(scope="session")
def forest_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_stages(tmp_path_factory.mktemp("forest"), "train.trees=40")
