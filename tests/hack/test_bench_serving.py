"""``hack/bench-serving`` for real and in short: that every figure is there, and never how large it is."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelpackage import Package

ROOT = Path(__file__).parents[2]
VIEWS = ("json", "binary", "grpc")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("wrk"), reason="no wrk: install it to measure the predictor"),
]


def bench(*arguments: str | Path, path: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "hack" / "bench-serving", *arguments],
        env={**os.environ, **({"PATH": path} if path is not None else {})},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(sealed: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on the tiny package."""
    out = tmp_path_factory.mktemp("bench")
    chosen = ("--package", sealed.path, "--peers", "slipway,kserve")
    done = bench(*chosen, "--seconds", "0.3", "--rounds", "1", "--out", out)
    assert done.returncode == 0, done.stderr
    assert (out / "report.md").read_text() in done.stdout
    return out


def test_every_view_of_every_contestant_is_measured(folder):
    windows = json.loads((folder / "figures.json").read_text())["windows"]

    expected = {f"tiny {peer} {view} {n}" for peer in ("slipway", "kserve") for view in VIEWS[:2] for n in (1, 16, 64)}
    assert set(windows) == expected | {"tiny slipway grpc 16", "tiny kserve grpc 16"}
    assert all(figure > 0 for (window,) in windows.values() for name, figure in window.items() if name != "cpu")


def test_starts_memory_and_the_limit_in_process_are_measured(folder):
    figures = json.loads((folder / "figures.json").read_text())

    assert {name: len(seconds) for name, seconds in figures["starts"].items()} == {"tiny slipway": 3, "tiny kserve": 3}
    assert set(figures["memory"]) == {"tiny slipway", "tiny kserve"}
    assert set(figures["limits"]) == {"tiny 1", "tiny 8"}


def test_the_report_has_a_row_per_view_and_a_picture_beside_it(folder):
    lines = (folder / "report.md").read_text().splitlines()

    for peer in ("slipway", "kserve"):
        assert sum(line.startswith(f"| {peer} | ") for line in lines) == len(VIEWS)
    assert (folder / "ratios.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_contestant_is_refused_with_those_there_are():
    done = bench("--peers", "slipway,triton")

    assert done.returncode != 0
    assert "--peers triton: choose from slipway, slipway-unbatched, kserve, mlserver, fastapi" in done.stderr


def test_without_wrk_it_says_how_to_get_it(tmp_path):
    done = bench(path=str(tmp_path))

    assert done.returncode != 0
    assert "sudo apt-get install wrk" in done.stderr
