"""The command line: one line for a mistake, exit code 2, and nothing heavy before it is needed."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "nowhere.yaml"), "can't read nowhere.yaml"),
        (("run", "configs/digits.yaml", "--set", "train.tree=3"), "did you mean train.trees?"),
        (("verify", "nowhere"), "nowhere does not exist; give the folder of a model package"),
        (("serve", "configs/digits.yaml"), "configs/digits.yaml is a file; give the folder"),
        (("verify", "s3://models/digits/"), "AWS_ENDPOINT_URL is not set"),
        (("verify", "gs://models/digits/"), "gs://models/digits/ is no place for a package; use a path"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(slipway, arguments, told):
    done = slipway(*arguments, AWS_ENDPOINT_URL="")
    assert done.code == 2
    assert told in done.err
    assert done.err.startswith("slipway: ") and done.err.count("\n") == 1


def test_what_the_system_refuses_is_one_line_and_never_looks_like_a_refusal_by_the_gate(slipway, tmp_path):
    (tmp_path / "file").touch()
    done = slipway("run", "configs/digits.yaml", SLIPWAY_HOME=str(tmp_path / "file"))
    assert done.code == 2
    assert done.err.startswith("slipway: [Errno") and done.err.count("\n") == 1


def test_verify_names_the_changed_file_with_both_digests(slipway, sealed, tmp_path):
    assert slipway("verify", str(sealed.path)).code == 0
    damaged = tmp_path / "damaged"
    shutil.copytree(sealed.path, damaged)
    graph = (damaged / "model.onnx").read_bytes()
    (damaged / "model.onnx").write_bytes(graph[:-1] + bytes([graph[-1] ^ 1]))
    done = slipway("verify", str(damaged))
    assert done.code == 2
    assert f"changed: model.onnx (sealed {sealed.descriptor.files['model.onnx'].sha256}" in done.err
    assert hashlib.sha256((damaged / "model.onnx").read_bytes()).hexdigest() in done.err


def test_a_reader_that_has_enough_is_no_error_worth_a_traceback(sealed):
    command = [sys.executable, "-m", "pipelines", "verify", str(sealed.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as verify:
        verify.stdout.close()
        assert verify.stderr.read() == ""
    assert verify.returncode == 141


def test_help_and_mistakes_import_nothing_heavy():
    heavy = "kfp torch sklearn mlflow kserve matplotlib onnxruntime"
    program = (
        "import sys\nfrom pipelines.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set({heavy.split()}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_serve_answers_a_v2_request_with_the_published_model(passed, tmp_path):
    package = next((passed.home / "store" / "digits").glob("sha256-*"))
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "__init__.py").write_text("raise ImportError('this is the package of the user')")
    program = str(Path(sys.executable).with_name("slipway"))
    command = [program, "serve", str(package), "--http-port", "0", "--grpc-port", "0"]
    environment = {**os.environ, "SLIPWAY_HOME": str(passed.home)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=tmp_path
    ) as server:
        try:
            event = next(line for line in map(_event, server.stdout) if line.get("event") == "ready")
            golden = json.dumps(
                {"inputs": [{"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": [0] * 64}]}
            ).encode()
            url = f"http://127.0.0.1:{event['http_port']}/v2/models/digits/infer"
            request = urllib.request.Request(url, golden, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 (loopback)
                content = json.loads(answer.read())
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    assert content["parameters"]["package"] == f"sha256:{package.name.removeprefix('sha256-')}"
    assert {output["name"] for output in content["outputs"]} == {"probabilities", "label", "confidence"}


def _event(line: str) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads(line)
    except ValueError:
        return {}
    return found


def test_a_model_of_ours_keeps_the_contract_clause_by_clause(slipway):
    told = slipway("contract", "random_forest")
    assert told.code == 0, told.out + told.err
    lines = told.out.splitlines()
    assert len(lines) > 5
    assert all(line.startswith("kept ") for line in lines)


def test_every_configuration_that_comes_along_is_valid():
    from components.config import read_config

    for path in Path("configs").glob("*.yaml"):
        assert read_config(path).name
