"""What the local overlay names is what this tree trains, on the Python that the image has.

What it is trained from is compared; that it comes out the same is seen on a cluster.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_local_overlay_names_what_digits_trains():
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the image has Python 3.11, and the version is part of a package's lineage")
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "local-model", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
