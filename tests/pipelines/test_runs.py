"""A run is found by as much of its name as tells it apart, and only a finished one is read."""

import json
from pathlib import Path

import pytest

from pipelines.errors import RunError
from pipelines.runs import find_run, read_run

NAMES = ("20260101-090000-digits", "20260102-090000-digits", "20260102-093000-churn")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    steps = [{"name": "train", "seconds": 2.5, "peak_mb": 300}, {"name": "assess", "seconds": 1.0, "peak_mb": 200}]
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"code": 1, "steps": steps, "published": None}))
    return tmp_path


@pytest.mark.parametrize("asked", ["20260102-093000-churn", "churn", "093000-churn"])
def test_a_name_or_its_last_part_finds_the_run(runs, asked):
    assert find_run(Path(asked), runs).name == "20260102-093000-churn"


def test_a_folder_is_found_wherever_it_lies(runs, tmp_path_factory):
    elsewhere = runs / NAMES[0]
    assert find_run(elsewhere, tmp_path_factory.mktemp("empty")) == elsewhere


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("digits", "digits may be 20260101-090000-digits, 20260102-090000-digits; give more of the name"),
        ("20260101-090000-digit", "did you mean 20260101-090000-digits?"),
        ("nothing-like-it", f"nothing-like-it is no run; there are {', '.join(NAMES)}"),
    ],
)
def test_another_name_is_refused_with_the_runs_that_there_are(runs, asked, told):
    with pytest.raises(RunError) as error:
        find_run(Path(asked), runs)
    assert told in str(error.value)


def test_without_any_run_the_way_to_one_is_told(tmp_path):
    with pytest.raises(RunError, match="make one with slipway run"):
        find_run(Path("digits"), tmp_path / "runs")


def test_of_many_runs_the_latest_are_named(tmp_path):
    for number in range(30):
        (tmp_path / f"202601{number + 1:02}-000000-digits").mkdir()
    with pytest.raises(RunError, match=r"20260130-000000-digits and 22 earlier ones$"):
        find_run(Path("unknown"), tmp_path)


def test_an_older_run_has_no_settings_and_no_metrics(runs):
    run = read_run(runs / NAMES[0])
    assert (run.verdict, run.seconds, run.peak_mb) == ("refused", 3.5, 300)
    assert (run.settings, run.metrics, run.data) == ({}, {}, None)


def test_a_run_that_has_not_ended_is_refused(runs):
    (runs / NAMES[0] / "run.json").unlink()
    with pytest.raises(RunError, match="has not ended or was interrupted"):
        read_run(find_run(Path(NAMES[0]), runs))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"code": 7, "steps": []}', '{"code": 0, "steps": [1]}'])
def test_a_damaged_file_is_refused_by_its_name(runs, content):
    (runs / NAMES[0] / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json is damaged; leave that run out"):
        read_run(runs / NAMES[0])
