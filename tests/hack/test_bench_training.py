"""``hack/bench-training`` for real and in short: that every figure is there, and never how large it is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORT = ("0", "--turns", "2", "--workloads", "mnist_cnn", "--threads", "1")

pytestmark = pytest.mark.slow


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "hack" / "bench-training", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def rows(done: "subprocess.CompletedProcess[str]", title: str) -> list[list[str]]:
    """The cells of the rows that begin so."""
    assert done.returncode == 0, done.stderr
    found = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    return [cells for cells in found if cells[0].startswith(title)]


def test_our_loop_is_measured_beside_the_others_and_a_checkpoint_has_its_price():
    done = bench(*SHORT, "--devices", "cpu")

    speed, price = rows(done, "mnist_cnn")
    assert len(speed) == 9
    assert all(float(figure) > 0 for figure in speed[1:8])
    assert speed[8] == "-"  # a CPU has no known peak
    megabytes, made, cost, still, share = price[1:]
    assert float(megabytes) > 1 and float(still) >= 0 and made == "2"
    assert re.fullmatch(r"-?\d+", cost) and re.fullmatch(r"-?\d+\.\d\d%", share)


def test_two_processes_have_the_gradients_of_one():
    done = bench(*SHORT, "--processes", "2")

    ((_, one, two, ratio, difference),) = rows(done, "mnist_cnn")
    assert float(one) > 0 and float(two) > 0 and float(ratio) > 0
    # Other sums round otherwise, and so may which side of a ReLU a value is on; a batch norm of halves is far off.
    assert 0 <= float(difference) < 5e-3


def test_the_way_to_the_first_step_is_told_in_parts():
    done = bench("--start")

    parts = [rows(done, name) for name in ("the command", "the engine", "step prepare", "step train")]
    assert [len(part) for part in parts] == [1, 1, 1, 3]
    moments = [float(row[3]) for part in parts for row in part]
    assert moments == sorted(moments) and moments[0] > 0
    assert len(rows(done, "torch")) == 1


def test_an_unknown_workload_is_refused_with_those_there_are():
    done = bench("--workloads", "vgg")

    assert done.returncode == 2
    assert "--workloads vgg: choose from mnist_cnn, resnet18" in done.stderr
