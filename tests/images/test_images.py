import re
import time
import tomllib
from pathlib import Path

import pytest
from engine import docker

ROOT = Path(__file__).parents[2]
LABEL = "org.opencontainers.image."
PROGRAMS = ["pip", "pip3", "uv", "uvx", "easy_install", "gcc", "cc", "g++", "clang", "make", "ld"]
INSTALLERS = ["pip", "uv", "setuptools", "wheel", "ensurepip", "pkg_resources"]
TRAINING = ["torch", "kfp", "pandas", "sklearn", "mlflow", "kubernetes", "fastapi", "components", "pipelines"]
FOUND = "import importlib.util as u, json, sys; print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n)]))"
#: Both the interpreter that runs and the one of the base image that it was made from.
PRESENT = """
import importlib.util as u, json, os, shutil, subprocess, sys
names, programs = sys.argv[1].split(","), sys.argv[2].split(",")
code = "import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n)])"
base = subprocess.check_output([os.path.realpath(sys.executable), "-I", "-c", code, *names], text=True)
own = [n for n in names if u.find_spec(n)]
print(json.dumps(own + base.split() + [p for p in programs if shutil.which(p)]))
"""


def test_the_user_is_a_number_that_is_not_root(image):
    assert image.about["Config"]["User"] == "65532:65532"


def test_the_labels_say_what_it_is(image):
    labels = image.about["Config"]["Labels"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert labels[f"{LABEL}version"] == project["version"]
    assert labels[f"{LABEL}licenses"] == project["license"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels[f"{LABEL}revision"])
    assert labels[f"{LABEL}title"].startswith("Slipway ")
    assert labels[f"{LABEL}description"]


def test_nothing_inside_installs_or_compiles(image):
    assert image.python(PRESENT, ",".join(INSTALLERS), ",".join(PROGRAMS)) == []


def test_the_root_file_system_needs_no_writing(image):
    done = image.run("--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_mlflow_tells_its_version(find):
    done = find("mlflow").run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mlflow, version 3.")


def test_the_mlflow_server_can_write_to_postgresql_and_s3(find):
    assert find("mlflow").python(FOUND, "psycopg2", "boto3", "kfp", "torch") == ["psycopg2", "boto3"]


@pytest.mark.parametrize("name", ["component", "predictor"])
def test_the_self_test_passes(find, name):
    done = find(name).run("--self-test")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"self-test passed in [\d.]+ s: .+\n", done.stdout)


def test_the_predictor_holds_nothing_of_training(predictor):
    assert predictor.python(FOUND, *TRAINING, "kserve", "serving") == ["kserve", "serving"]


def test_the_predictor_is_small(predictor):
    assert predictor.about["Size"] <= 500e6


def test_the_predictors_self_test_refuses_a_damaged_package(predictor, sealed, tmp_path):
    for path in sealed.path.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "golden.npz").write_bytes(b"")
    tmp_path.chmod(0o755)
    done = predictor.run("--self-test", "--package", "/mnt/models", flags=("-v", f"{tmp_path}:/mnt/models:ro"))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"self-test failed: .*golden\.npz.*\n", done.stderr)


def test_the_health_check_sees_the_server_become_ready_and_its_end_is_clean(predictor):
    with predictor.running("--package", "/app/serving/sample", "--drain-seconds", "0") as container:
        for _ in range(150):
            asked = docker("exec", container, "python3", "-m", "serving", "--health")
            if asked.returncode == 0:
                break
            assert asked.stderr.startswith("not ready: ")
            time.sleep(0.2)
        assert (asked.returncode, asked.stderr) == (0, "")
        assert docker("stop", container).returncode == 0
        assert docker("wait", container).stdout == "0\n"


def test_kubeflows_command_runs_in_place_of_ours(component):
    done = component.run(
        "-ec", 'cd "$(mktemp -d)" && python3 -c "import kfp.dsl.executor_main; print(7)"', entrypoint="sh"
    )
    assert (done.returncode, done.stdout) == (0, "7\n")


def test_slipway_serve_says_that_there_is_no_predictor(component):
    done = component.run("serve", "/somewhere")
    assert done.returncode == 2
    assert done.stderr.startswith("slipway: there is no predictor in this installation")
    assert done.stderr.count("\n") == 1
