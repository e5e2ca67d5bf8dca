"""Runs side by side: what differs comes first, and nothing is concluded from what can't be compared."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from components.metrics import wilson_interval
from pipelines.compare import compare, render_html, render_text
from pipelines.errors import RunError

ROWS = 400
CONFIG = {"name": "churn", "seed": 0, "data": {"source": "churn.csv"}, "split": {"validation": 0.1, "test": 0.1}}


@pytest.fixture
def leave(tmp_path, monkeypatch):
    """Leaves a run as ``slipway run`` does, and returns its name."""
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))

    def run(time: int, right: int | None, code: int = 0, seconds: float = 3.5, **changes) -> Path:
        content = {
            "code": code,
            "config": {**CONFIG, "train": {"model": "random_forest", "trees": time}},
            "data": "ab" * 32,
            "metrics": None if right is None else measured(right),
            "steps": [{"name": "train", "state": "done", "seconds": seconds, "peak_mb": 300}],
            "published": None,
        }
        directory = tmp_path / "runs" / f"20260101-{time:06}-churn"
        directory.mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({**content, **changes}))
        return Path(directory.name)

    return run


def measured(right: int) -> dict[str, float]:
    low, high = wilson_interval(right, ROWS)
    return {"accuracy": right / ROWS, "accuracy_low": low, "accuracy_high": high, "log_loss": 0.25, "test_rows": ROWS}


def test_settings_that_differ_stand_apart_from_those_that_are_equal(leave):
    found = compare([leave(1, 380), leave(2, 390)])
    assert found.differing == {"train.trees": ("1", "2")}
    assert found.equal["seed"] == "0"
    assert {"data.source", "split.test", "train.model"} <= set(found.equal)


def test_a_setting_that_only_one_model_has_differs(leave):
    boosted = {"config": {**CONFIG, "train": {"model": "gradient_boosting", "l2": 1.0}}}
    found = compare([leave(1, 380), leave(2, 390, **boosted)])
    assert found.differing["train.l2"] == ("-", "1.0")
    assert found.differing["train.trees"] == ("1", "-")


def test_intervals_that_overlap_are_told_as_undecided(leave):
    found = compare([leave(1, 388), leave(2, 390)])
    assert found.remarks == (
        "same test rows, 400 of them; best accuracy: 20260101-000002-churn",
        "20260101-000001-churn and 20260101-000002-churn: cannot tell them apart, their 95 % intervals overlap",
    )


def test_intervals_that_do_not_overlap_are_told_as_worse(leave):
    found = compare([leave(1, 396), leave(2, 300)])
    assert found.remarks[1].startswith("20260101-000002-churn is worse than 20260101-000001-churn")


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "cd" * 32},
        {"data": None},
        {"config": {**CONFIG, "seed": 1, "train": {"model": "random_forest"}}},
        {"config": {**CONFIG, "split": {"validation": 0.1, "test": 0.2}, "train": {"model": "random_forest"}}},
        {"metrics": {**measured(390), "test_rows": ROWS - 1}},
    ],
)
def test_nothing_is_concluded_from_other_test_rows(leave, changes):
    found = compare([leave(1, 200), leave(2, 390, **changes)])
    assert len(found.remarks) == 1
    assert "other test rows" in found.remarks[0]


def test_runs_without_a_result_are_listed_and_not_judged(leave):
    found = compare([leave(1, 380), leave(2, None, code=2), leave(3, 390, code=1)])
    assert found.results["verdict"] == ("published", "error", "refused")
    assert found.results["accuracy"][1] == "no result"
    assert not any("000002" in remark for remark in found.remarks)


def test_an_older_run_is_told_once_and_hides_no_equality(leave):
    found = compare([leave(1, None, config=None, data=None), leave(2, 380), leave(3, 390)])
    assert found.remarks[0] == "20260101-000001-churn: made by an older version, which kept no settings and no metrics"
    assert found.differing == {"train.trees": ("-", "2", "3")}
    assert found.remarks[1].startswith("same test rows")


def test_without_two_results_nothing_is_concluded(leave):
    found = compare([leave(1, None), leave(2, None)])
    assert found.remarks == ("fewer than two runs have a result, so there is nothing to conclude",)
    assert "no result" in render_html(found)


def test_one_run_named_twice_is_one_run(leave):
    run = leave(1, 380)
    with pytest.raises(RunError, match=r"20260101-000001-churn can't be compared alone; name two runs or more"):
        compare([run, run])


def test_the_text_is_aligned_with_the_differences_before_the_results(leave):
    text = render_text(compare([leave(1, 380), leave(222, 390)]))
    lines = text.splitlines()
    assert lines[:2] == ["#1  20260101-000001-churn", "#2  20260101-000222-churn"]
    head = next(line for line in lines if line.lstrip().startswith("#1") and "#2" in line)
    assert all(
        line[head.index("#2") - 1] == " " and line[head.index("#2")] != " "
        for line in lines
        if line.startswith(("train.trees", "verdict", "accuracy", "seconds"))
    )
    assert text.index("train.trees") < text.index("accuracy") < text.index("6 settings are equal")


def test_the_page_draws_every_run_and_needs_nothing_else(leave):
    runs = [leave(1, 380, seconds=10.0), leave(2, 390, seconds=40.0), leave(3, None, code=2, seconds=0.0)]
    page = render_html(compare(runs))
    assert not re.search(r"(src|href)=|url\(|@import", page)
    picture = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314 (our own page)
    dots = [float(dot.get("cx")) for dot in picture.iter("circle")]
    bars = [float(bar.get("width")) for bar in picture.iter("rect")]
    spans = [re.match(r"M([\d.]+) \d+H([\d.]+)$", path.get("d")) for path in picture.iter("path")]
    spans = [(float(span[1]), float(span[2])) for span in spans if span]
    assert dots[0] < dots[1]
    assert all(low < dot < high for (low, high), dot in zip(spans, dots, strict=True))
    assert bars == [bars[1] / 4, max(bars), 0.0]
    assert "no result" in [text.text for text in picture.iter("text")]


def test_what_a_setting_says_is_text_and_never_markup(leave):
    config = {**CONFIG, "data": {"source": "<script>alert(1)</script>"}, "train": {"model": "random_forest"}}
    page = render_html(compare([leave(1, 380), leave(2, 390, config=config)]))
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
