"""Slipway's folder, and what the environment says instead."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.home import Home


def test_everything_lies_in_one_folder_unless_the_environment_says_otherwise(tmp_path: Path):
    home = Home({"SLIPWAY_HOME": str(tmp_path)})
    assert home.destinations() == {
        "SLIPWAY_STORE": f"{tmp_path.as_uri()}/store",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "SLIPWAY_CACHE": f"{tmp_path}/cache",
        "SLIPWAY_CHECKPOINTS": f"{tmp_path.as_uri()}/checkpoints",
    }
    elsewhere = {
        "SLIPWAY_STORE": "s3://models",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
        "SLIPWAY_CACHE": "/data",
        "SLIPWAY_CHECKPOINTS": "s3://checkpoints",
    }
    assert Home(elsewhere).destinations() == elsewhere


def test_runs_that_start_at_once_have_folders_of_their_own(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda _: "20260101-000000")
    home = Home({"SLIPWAY_HOME": str(tmp_path)})
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(home.new_run, ["digits"] * 24))
    assert len({path.name for path in made}) == 24
    assert all(path.is_dir() for path in made)
