"""``hack/checkov`` for real, where it is installed: nothing is downloaded for a test."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GOOD = Path(__file__).with_name("good.yaml")
INSTALLED = ROOT / ".venv-checkov" / ".checkov"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on the PATH"),
    pytest.mark.skipif(
        not INSTALLED.exists() or INSTALLED.read_text() != (ROOT / "requirements" / "checkov.txt").read_text(),
        reason="checkov's environment is not there: hack/checkov makes it",
    ),
]


def test_a_pod_that_kserve_makes_is_judged(tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    text = GOOD.read_text()
    (folder / "kustomization.yaml").write_text("resources: [good.yaml]\n")
    found = []
    for manifests in (text, text.replace("    automountServiceAccountToken: false\n", "    hostNetwork: true\n")):
        (folder / "good.yaml").write_text(manifests)
        command = [sys.executable, ROOT / "hack" / "checkov", folder, "--waivers", tmp_path / "none"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert "local: " in done.stderr, done.stderr
        found.append(set(done.stdout.splitlines()))
    sound, broken = found
    assert {line.split(":")[0] for line in broken - sound} >= {
        "CKV_K8S_19 inferenceservice/digits",
        "CKV_K8S_38 inferenceservice/digits",
    }
