"""A model is the same wherever it was trained: in the component image and in this environment."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.provenance import code_digest

ROOT = Path(__file__).parents[2]
RUN = ("run", "configs/digits.yaml", "--set", "train.trees=40")
DIGEST = re.compile(r"^package .*sha256-([0-9a-f]{64})/$", re.MULTILINE)


def test_the_code_in_the_image_has_the_digest_of_this_tree(component):
    code = "import json; from components.provenance import code_digest; print(json.dumps(code_digest()))"
    assert component.python(code) == code_digest()


def test_a_model_trained_in_a_container_has_the_digest_of_one_trained_here(component, tmp_path):
    version = component.python("import json, sys; print(json.dumps(sys.version_info[:2]))")
    if version != list(sys.version_info[:2]):
        pytest.skip(
            f"the image has Python {version}, which is part of a model's identity; this is {sys.version_info[:2]}"
        )
    inside = component.run(*RUN, flags=("--env", "MLFLOW_TRACKING_URI=none"))
    assert inside.returncode == 0, inside.stdout + inside.stderr
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SLIPWAY_", "AWS_"))}
    outside = subprocess.run(
        [sys.executable, "-m", "pipelines", *RUN],
        cwd=ROOT,
        env={**own, "SLIPWAY_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": "none"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert outside.returncode == 0, outside.stdout + outside.stderr
    assert DIGEST.findall(inside.stdout) == DIGEST.findall(outside.stdout) != []
