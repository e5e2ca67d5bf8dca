"""Every command of the README is run: here, in the test that is named beside it, or by CI."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
#: Where each command is run; the key is how the command begins.
RUN_BY = {
    "make demo": ".ci/run",
    "make images": ".ci/run",
    "make test-cluster": ".ci/run",
    "make lint": ".github/workflows/ci.yaml",
    "make cluster-up": ".github/workflows/ci.yaml",
    "kubectl apply -k kustomize/overlays/local": "test_apply.py",
    "make test": ".ci/run",
    "slipway run configs/digits.yaml --set name=digits-cnn": "test_the_network_runs_as_the_readme_says",
    "slipway run configs/digits.yaml --profile services": "test_services.py",
    "slipway run configs/digits.yaml --runner docker": "test_containers.py",
    "slipway run configs/digits.yaml": "test_local.py",
    "make services": "test_services.py",
    "slipway run configs/iris.yaml": "test_own_data.py",
    "slipway run configs/mnist.yaml --set data.source": "test_own_data.py",
    "slipway run configs/cats-dogs.yaml --set data.source": "test_own_data.py",
    "slipway new churn.csv --label churned": "test_own_data.py",
    "slipway new photos/": "test_own_data.py",
    "slipway compare": "test_own_data.py",
    "slipway models": "test_cli_models.py",
    "slipway trace digits@champion": "test_cli_models.py",
    "slipway trace --request": "test_cli_models.py",
    "slipway rollback": "test_cli_models.py",
    "slipway register": "test_cli_models.py",
    "slipway promote": "test_cli_promote.py",
    "slipway doctor": "test_cli_doctor.py",
    "slipway gc": "test_cli_models.py",
    "slipway data push": "test_cli_data.py",
    "slipway contract": "test_cli.py",
    "slipway verify": "test_cli.py",
    "slipway serve": "test_cli.py",
    "slipway sign": "test_cli_sign.py",
    "slipway optimize": "test_cli_optimize.py",
    "slipway compile": "test_compile.py",
    "slipway submit": "test_submit.py",
    "kfp --endpoint URL run submit": "test_submit.py",
    "curl -s 127.0.0.1:8080/v2/models/digits": "test_the_readmes_questions_are_answered",
}


def commands() -> list[str]:
    """Indented lines of the README that begin with a program's name, continued lines joined."""
    text = README.replace("\\\n", " ")
    lines = re.findall(r"^    ((?:make|slipway|kfp|kubectl|curl|mlflow) .*)$", text, re.MULTILINE)
    return [re.sub(r"\s+", " ", line.split("  #")[0]).strip() for line in lines]


def test_every_command_is_run_somewhere():
    assert len(commands()) >= 10
    for command in commands():
        assert any(command.startswith(known) for known in RUN_BY), command


def test_where_a_command_is_said_to_be_run_exists():
    for command, place in RUN_BY.items():
        if place in (".ci/run", ".github/workflows/ci.yaml"):
            assert command in (ROOT / place).read_text()
        elif place.endswith(".py"):
            assert list((ROOT / "tests").rglob(place))
        else:
            assert place in globals()


def test_every_file_that_is_named_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
    for folder in re.findall(r"^    (\w+)/ +\S", README, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder


def test_every_variable_that_is_named_is_read_and_every_exit_code_is_the_real_one():
    sources = "".join(path.read_text() for name in ("components", "pipelines") for path in (ROOT / name).glob("*.py"))
    for variable in re.findall(r"`((?:SLIPWAY|AWS|MLFLOW)_\w+)`", README):
        assert f'"{variable}"' in sources, variable
    assert "PASSED, REFUSED, ERROR = 0, 1, 2" in sources


def test_the_network_runs_as_the_readme_says(slipway):
    command = next(command for command in commands() if "train.model=mnist_cnn" in command)
    done = slipway(*shlex.split(command)[1:])
    assert done.code == 0, done.err
    assert "epoch 3/3" in done.out


def test_the_readmes_questions_are_answered(passed):
    package = next((passed.home / "store" / "digits").glob("sha256-*"))
    metadata, question, feedback = (command for command in commands() if command.startswith("curl"))
    command = [sys.executable, "-m", "pipelines", "serve", str(package), "--http-port", "0", "--grpc-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            ready = next(event for line in server.stdout if (event := json.loads(line))["event"] == "ready")
            told = [curl(question, ready["http_port"]) for question in (metadata, question)]
            judged = curl(feedback.replace("ID-OF-AN-ANSWER", told[1]["id"]), ready["http_port"])
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=30)
    (image,) = told[0]["inputs"]
    assert (image["name"], image["datatype"], image["shape"]) == ("image", "FP32", [-1, 8, 8])
    label = next(output for output in told[1]["outputs"] if output["name"] == "label")
    assert label["data"] == ["0"]
    assert told[1]["parameters"] == {"package": f"sha256:{package.name[7:]}"}
    assert judged == {"id": told[1]["id"], "rows": 1, "correct": 1}


def curl(command: str, port: int) -> dict:
    """Run a curl command of the README against another port."""
    arguments = shlex.split(command.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


def test_mlflows_page_opens_on_what_a_run_left(passed):
    line = next(line for line in passed.out.splitlines() if "mlflow ui" in line)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program, *arguments = shlex.split(line.split("see it: ")[1])
    command = [str(Path(sys.executable).with_name(program)), *arguments, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(
        [*command, "--workers", "1"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            assert healthy(f"http://127.0.0.1:{port}/health")
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)


def healthy(url: str) -> bool:
    for _ in range(120):
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (loopback)
                return answer.status == 200
        except OSError:
            time.sleep(0.5)
    return False


@pytest.mark.parametrize("verb", re.findall(r"make (\w[\w-]*)", README + (ROOT / "docs" / "operations.md").read_text()))
def test_every_make_target_that_is_named_exists(verb):
    assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text(), re.MULTILINE), verb
