import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from modelpackage import Golden
from serving.__main__ import main

ROOT = Path(__file__).parents[2]


def damage(package, how):
    """Break a sealed package in one way."""
    if how == "missing graph":
        (package / "model.onnx").unlink()
    elif how == "changed graph":
        (package / "model.onnx").write_bytes(tiny.graph()[:-1] + b"\0")
    elif how == "extra file":
        (package / "weights.pkl").write_bytes(b"")
    elif how == "no descriptor":
        (package / "model.json").unlink()
    elif how == "changed descriptor":
        (package / "model.json").write_bytes((package / "model.json").read_bytes().replace(b"left", b"LEFT"))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing graph", "missing: model.onnx"),
        ("changed graph", "changed: model.onnx"),
        ("extra file", "not part of it: weights.pkl"),
        ("no descriptor", "no finished model package"),
        ("changed descriptor", "changed: model.json"),
    ],
)
def test_a_damaged_package_is_refused_in_one_line(sealed, place, capsys, how, message):
    shutil.copytree(sealed.path, place)
    damage(place, how)
    assert main(["--package", str(place)]) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_another_package_than_the_expected_one_is_refused(sealed, capsys):
    assert main(["--package", str(sealed.path), "--digest", "0" * 64]) == 1
    errors = capsys.readouterr().err
    assert "0" * 64 in errors
    assert sealed.digest in errors


def test_a_bad_setting_is_refused_in_one_line(capsys):
    assert main(["--http-port", "eighty"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_package_that_does_not_reproduce_itself_ends_the_process(place):
    golden = Golden(inputs={"image": tiny.rows()}, outputs={"probabilities": 1 - tiny.answers(tiny.rows())})
    tiny.seal(place, golden=golden)
    command = [sys.executable, "-m", "serving", "--package", str(place), "--host", "127.0.0.1"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "does not reproduce the model" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert '"event":"ready"' not in ended.stdout
