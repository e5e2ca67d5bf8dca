"""Slipway's folder, and what the environment says instead."""

from pathlib import Path

from pipelines.home import Home


def test_everything_lies_in_one_folder_unless_the_environment_says_otherwise(tmp_path: Path):
    home = Home({"SLIPWAY_HOME": str(tmp_path)})
    assert home.destinations() == {
        "SLIPWAY_STORE": f"{tmp_path.as_uri()}/store",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    elsewhere = {"SLIPWAY_STORE": "s3://models", "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"}
    assert Home(elsewhere).destinations() == elsewhere


def test_two_runs_in_one_second_have_two_folders(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda _: "20260101-000000")
    home = Home({"SLIPWAY_HOME": str(tmp_path)})
    first = home.new_run("digits")
    first.mkdir(parents=True)
    assert home.new_run("digits").name == "20260101-000000-digits-2"
