"""``hack/attack-predictor`` for real and in short: the attacks whose outcome no busy machine can change."""

import re
import subprocess
import sys
from pathlib import Path

from modelpackage import Package

ROOT = Path(__file__).parents[2]


def attack(package: Package, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, ROOT / "hack" / "attack-predictor", package.path, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_attacks_that_time_does_not_decide_are_survived(sealed):
    done = attack(sealed, "--small", "flood-body", "junk", "bomb", "corrupt")

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["flood-body", "junk", "bomb", "corrupt"]
    assert all(re.fullmatch(r".+ \(target: .+\) PASS in \d+ s", line) for line in lines)


def test_half_requests_are_ended_and_measured(sealed):
    done = attack(sealed, "--small", "half-open")

    assert "60 of 60 closed" in done.stdout, done.stdout + done.stderr


def test_an_unknown_attack_is_refused_with_those_there_are(sealed):
    done = attack(sealed, "earthquake")

    assert done.returncode == 2
    assert "there is no attack earthquake; choose from half-open, flood-body" in done.stderr
