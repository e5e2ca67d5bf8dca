"""``hack/break-training`` for real and in short: a killed training goes on, and one that does not is found out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILL = re.compile(r"(?m)^kill \d: (SIG\w+) at step (\d+), went on from step (\d+): lost (\d+) steps, \d+\.\d\d s")
SHORT = ("2", "--seed", "3", "--epochs", "5", "--interval", "0.1")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="no /proc here, which the program reads"),
]


def kill(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "hack" / "break-training", *SHORT, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_killed_training_goes_on_and_gives_the_same_package():
    done = kill()

    kills = KILL.findall(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [way for way, *_ in kills] == ["SIGKILL", "SIGTERM"]
    assert all(int(step) - int(origin) == int(lost) for _, step, origin, lost in kills)
    equal, trainings = re.search(r"digests equal: (\d+) of (\d+)", done.stdout).groups()
    assert equal == trainings != "0"
    assert "most work lost: " in done.stdout


def test_a_training_whose_checkpoints_are_gone_is_found_out():
    done = kill("--forget")

    assert done.returncode == 1, done.stdout + done.stderr
    assert [origin for _, _, origin, _ in KILL.findall(done.stdout)] == ["0", "0"]
    assert "WRONG: kill 2: SIGTERM at step " in done.stdout
    assert "digests equal: 1 of 1" in done.stdout
