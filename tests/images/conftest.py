"""Images of this very tree, found in the local engine.

No test builds an image: that takes minutes and a registry. Where one is missing or stale its tests are skipped and say
so.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engine import Image, docker

ROOT = Path(__file__).parents[2]
#: The stage that an image is, where its Dockerfile has several.
TARGETS = {"component": ["cpu"], "predictor": [], "mlflow": []}


def sources(image):
    command = [sys.executable, str(ROOT / "hack" / "sources"), f"Dockerfile.{image}", *TARGETS[image]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session")
def find():
    """Returns an image by its short name, or skips the test."""
    if not shutil.which("docker") or docker("info").returncode:
        pytest.skip("no container engine runs here")

    def found(image):
        name = f"slipway/{image}:0.1.0"
        inspected = docker("image", "inspect", name)
        if inspected.returncode:
            pytest.skip(f"there is no image {name}; run: make images")
        (about,) = json.loads(inspected.stdout)
        if about["Config"]["Labels"].get("slipway.sources") != sources(image):
            pytest.skip(f"image {name} is stale; run: make images")
        return Image(name, about)

    return found


@pytest.fixture(scope="session", params=sorted(TARGETS))
def image(find, request):
    """Each image in turn."""
    return find(request.param)


@pytest.fixture(scope="session")
def component(find):
    return find("component")


@pytest.fixture(scope="session")
def predictor(find):
    return find("predictor")
