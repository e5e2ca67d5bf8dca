"""The fingerprint changes with everything outside the configuration that a model depends on, and with nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import components
import modelpackage
from components import provenance

ROOT = Path(components.__path__[0]).parent


def code_digest_of(copy: Path) -> str:
    """The code digest as another process sees it in a copy of the sources."""
    command = "from components.provenance import code_digest; print(code_digest())"
    done = subprocess.run([sys.executable, "-c", command], cwd=copy, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_copy_elsewhere_has_the_same_code_and_one_changed_character_is_other_code(tmp_path):
    for package in (components, modelpackage):
        source = Path(package.__path__[0])
        shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    assert code_digest_of(tmp_path) == provenance.code_digest()
    target = tmp_path / "components" / "preprocess.py"
    target.write_text(target.read_text() + "#")
    assert code_digest_of(tmp_path) != provenance.code_digest()


def test_data_model_and_software_each_change_the_fingerprint(monkeypatch):
    base = provenance.fingerprint("0" * 64, ["random_forest"])
    assert provenance.fingerprint("0" * 64, ["random_forest"]) == base
    assert provenance.fingerprint("1" * 64, ["random_forest"]) != base
    assert provenance.fingerprint("0" * 64, ["mnist_cnn"]) != base
    monkeypatch.setattr(provenance, "_version", lambda name: "0.0" if name == "scikit-learn" else "1.0")
    assert provenance.fingerprint("0" * 64, ["random_forest"]) != base
