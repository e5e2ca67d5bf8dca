"""What ends the start of a server: exit code 1, one line, and nothing was served."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from modelpackage import Golden, load
from modelpackage.format import SIGNATURES
from modelpackage.signing import new_keys, render_signatures
from serving.__main__ import main

ROOT = Path(__file__).parents[2]


def damage(package, how):
    """Break a sealed package in one way."""
    graph, descriptor = package / "model.onnx", package / "model.json"
    if how == "missing graph":
        graph.unlink()
    elif how == "changed graph":
        graph.write_bytes(tiny.graph()[:-1] + b"\0")
    elif how == "truncated graph":
        graph.write_bytes(tiny.graph()[:-1])
    elif how == "empty graph":
        graph.write_bytes(b"")
    elif how == "extra file":
        (package / "weights.pkl").write_bytes(b"")
    elif how == "no descriptor":
        descriptor.unlink()
    elif how == "changed descriptor":
        descriptor.write_bytes(descriptor.read_bytes().replace(b"left", b"LEFT"))
    elif how == "truncated descriptor":
        descriptor.write_bytes(descriptor.read_bytes()[:-1])
    elif how == "a link":
        graph.rename(package.parent / "elsewhere.onnx")
        graph.symlink_to(package.parent / "elsewhere.onnx")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing graph", "missing: model.onnx"),
        ("changed graph", "changed: model.onnx"),
        ("truncated graph", "changed: model.onnx"),
        ("empty graph", "changed: model.onnx"),
        ("extra file", "not part of it: weights.pkl"),
        ("no descriptor", "no finished model package"),
        ("changed descriptor", "changed: model.json"),
        ("truncated descriptor", "changed: model.json"),
        ("a link", "changed: model.onnx"),
    ],
)
def test_a_damaged_package_is_refused_in_one_line(sealed, place, capsys, how, message):
    shutil.copytree(sealed.path, place)
    damage(place, how)
    assert main(["--package", str(place)], {}) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_a_package_that_is_not_there_is_refused_in_one_line(place, capsys):
    assert main([], {"SLIPWAY_PACKAGE": str(place)}) == 1
    errors = capsys.readouterr().err
    assert str(place) in errors
    assert errors.count("\n") == 1


def test_another_package_than_the_expected_one_is_refused(sealed, capsys):
    assert main(["--package", str(sealed.path), "--digest", "0" * 64], {}) == 1
    errors = capsys.readouterr().err
    assert "0" * 64 in errors
    assert sealed.digest in errors


def sign(package, key, *, seal=None):
    """Put a signature of a package's seal, or of another text, beside it."""
    text = seal or (package / "model.json.sha256").read_text()
    (package / SIGNATURES).write_bytes(render_signatures(key.sign(text)))


@pytest.mark.parametrize("how", ["unsigned", "another key", "another package", "no signature file"])
def test_a_package_that_no_trusted_key_vouches_for_is_refused(sealed, place, tmp_path, capsys, how):
    shutil.copytree(sealed.path, place)
    trusted = new_keys(tmp_path / "trusted")
    if how == "another key":
        sign(place, new_keys(tmp_path / "other"))
    elif how == "another package":
        sign(place, trusted, seal="0" * 64 + "  model.json\n")
    elif how == "no signature file":
        (place / SIGNATURES).write_bytes(b"ed25519\n")
    assert main(["--package", str(place), "--public-keys", str(tmp_path / "trusted" / "public.pem")], {}) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert str(place) in errors


BAD_KEY = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize("content", [None, b"", b"no key", BAD_KEY])
def test_keys_that_are_none_are_refused_in_one_line(sealed, tmp_path, capsys, content):
    keys = tmp_path / "public.pem"
    if content is not None:
        keys.write_bytes(content)
    assert main(["--package", str(sealed.path), "--public-keys", str(keys)], {}) == 1
    errors = capsys.readouterr().err
    assert str(keys) in errors
    assert errors.count("\n") == 1


def test_a_package_that_a_trusted_key_signed_is_served(launch, sealed, place, tmp_path):
    start, stop = launch
    shutil.copytree(sealed.path, place)
    sign(place, new_keys(tmp_path / "trusted"))
    assert load(place).digest == sealed.digest
    server = start(place, "--public-keys", str(tmp_path / "trusted" / "public.pem"), "--digest", sealed.digest)
    assert server.ready["package"] == f"sha256:{sealed.digest}"
    assert stop(server)[0] == 0


def test_a_bad_setting_is_refused_in_one_line(capsys):
    assert main(["--http-port", "eighty"], {}) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_package_that_does_not_reproduce_itself_ends_the_process(place, tmp_path):
    golden = Golden(inputs={"image": tiny.rows()}, outputs={"probabilities": 1 - tiny.answers(tiny.rows())})
    tiny.seal(place, golden=golden)
    flags = ["--host", "127.0.0.1", "--prediction-log", tmp_path.as_uri(), "--state", str(tmp_path / "state")]
    command = [sys.executable, "-m", "serving", "--package", str(place), *flags]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "does not reproduce the model" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert '"event":"ready"' not in ended.stdout
