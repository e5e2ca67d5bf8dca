"""Steps in containers: the same package as without, nothing more allowed than needed, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from docker.errors import ImageNotFound

from components.provenance import code_digest, software
from pipelines.compile import COMPILED
from pipelines.containers import LABEL, NOBODY, Places, User, images, quantity, settings
from pipelines.docker_engine import docker_engine
from pipelines.errors import RunError

SPEC = next(yaml.safe_load_all(COMPILED["training.yaml"].read_text()))
(IMAGE,) = images(SPEC)
HERE = (
    "import json; from components.provenance import *; print(json.dumps([code_digest(), software(['random_forest'])]))"
)
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root has files to hand over")


@pytest.fixture(scope="module")
def engine():
    """A container engine that has the image of this tree."""
    try:
        with docker_engine() as client:
            client.images.get(IMAGE)
            there = json.loads(client.containers.run(IMAGE, ["-c", HERE], entrypoint="python3", remove=True))
            if there != [code_digest(), software(["random_forest"])]:
                pytest.skip(f"{IMAGE} is not the image of these sources and libraries: make images")
            yield client
    except RunError:
        pytest.skip("no container engine: start Docker, or set DOCKER_HOST")
    except ImageNotFound:
        pytest.skip(f"no image {IMAGE}: make images")


def left(engine, home: Path) -> list[str]:
    """The containers of the runs in a folder."""
    found = engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return [container.name for container in found if container.labels[LABEL].startswith(str(home))]


def places(tmp_path: Path, **environment: str) -> Places:
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    own = {
        "SLIPWAY_STORE": "s3://models",
        "SLIPWAY_CACHE": str(tmp_path / "home" / "cache"),
        "MLFLOW_TRACKING_URI": "none",
    }
    return Places.of({**own, **environment}, {"data": {"source": str(data)}, "sweep": {"weights": ["random", "/-"]}})


def test_a_run_in_containers_makes_the_package_of_a_run_without(engine, slipway, passed, tmp_path):
    command = ("run", "configs/digits.yaml", "--set", "train.trees=40", "--runner", "docker")
    done = slipway(*command, SLIPWAY_HOME=str(tmp_path))
    assert done.code == 0, done.out + done.err
    packages = [re.search(r"^package +\S+/(sha256-\w+)/$", run.out, re.MULTILINE)[1] for run in (done, passed)]
    assert packages[0] == packages[1]
    lines = [re.sub(r" +[\d.]+ s\b", "", run.out) for run in (done, passed)]
    told = [[line for line in text.splitlines() if re.match(r"  (prepare|train):|\w+ +done", line)] for text in lines]
    assert told[0] == told[1]
    account = json.loads(next((tmp_path / "runs").glob("*/run.json")).read_text())
    assert all(step["seconds"] > 0 and step["peak_mb"] > 50 for step in account["steps"])
    record = json.loads(next((tmp_path / "store" / "digits" / "runs").glob("*/run.json")).read_text())
    assert record["image"] == IMAGE
    assert left(engine, tmp_path) == []
    assert not [path for path in tmp_path.rglob("*") if path.lstat().st_mode & 0o002 and not path.is_symlink()]


def test_a_refused_run_reads_a_file_of_this_machine_and_tells_a_server_on_its_loopback(
    engine, slipway, minio_server, bucket, tmp_path
):
    table = tmp_path / "colours.csv"
    table.write_text(
        "width,height,colour\n" + "".join(f"{n % 31 / 2},{n % 7},{'red' if n % 3 else 'blue'}\n" for n in range(200))
    )
    config = tmp_path / "colours.yaml"
    config.write_text(slipway("new", str(table), "--label", "colour").out)
    home = tmp_path / "home"
    places = {**minio_server, "SLIPWAY_STORE": bucket, "MLFLOW_TRACKING_URI": "none", "SLIPWAY_HOME": str(home)}
    done = slipway("run", str(config), "--set", "gate.minimum=1", "--runner", "docker", **places)
    assert done.code == 1, done.out + done.err
    assert "nothing was published" in done.out
    assert left(engine, home) == []


def test_a_failing_step_tells_its_own_error(engine, slipway, tmp_path):
    options = ("--set", "data.source=builtin://nothing", "--runner", "docker", "--image", IMAGE)
    failed = slipway("run", "configs/digits.yaml", *options, SLIPWAY_HOME=str(tmp_path))
    assert failed.code == 2
    assert "prepare failed: data.source=builtin://nothing is not known; choose builtin://digits" in failed.out


def test_a_step_has_no_rights_and_an_interrupt_removes_its_container(engine, tmp_path):
    command = [sys.executable, "-m", "pipelines", "run", "configs/digits.yaml", "--set", "train.trees=10000"]
    command += ["--runner", "docker", "--cpu", "500m", "--memory", "1Gi"]
    environment = {**os.environ, "SLIPWAY_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert any("growing 10000 trees" in line for line in run.stdout)
            (name,) = left(engine, tmp_path)
            container = engine.containers.get(name)
            host, status = container.attrs["HostConfig"], container.exec_run("cat /proc/1/status").output.decode()
            written = container.exec_run("touch /app/new").exit_code
        finally:
            run.send_signal(signal.SIGINT)
            _, told = run.communicate(timeout=60)
    assert (run.returncode, told) == (130, "slipway: interrupted\n")
    assert left(engine, tmp_path) == []
    facts = dict(re.findall(r"^(CapEff|CapBnd|NoNewPrivs|Seccomp|Uid):\s+(\w+)", status, re.MULTILINE))
    uid = str(os.getuid() or NOBODY)
    assert facts == {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2", "Uid": uid}
    assert written != 0
    assert (host["ReadonlyRootfs"], host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (True, 5e8, 2**30, 2**30)
    assert host["PidsLimit"] > 0


def test_every_container_gets_the_limits_of_training_and_none_but_what_steps_read(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    found = settings(SPEC, {"config": {}}, places(tmp_path), tmp_path, most_processors=64)
    assert (found["nano_cpus"], found["mem_limit"]) == (2_000_000_000, 4_000_000_000)
    assert found["environment"]["AWS_ACCESS_KEY_ID"] == "key"
    assert not {"GITHUB_TOKEN", "PATH", "HOME"} & found["environment"].keys()
    small = settings(SPEC, {"config": {}, "memory": "512Mi"}, places(tmp_path), tmp_path, most_processors=1)
    assert (small["nano_cpus"], small["mem_limit"]) == (1_000_000_000, 2**29)


def test_only_what_a_run_names_is_seen_and_what_it_reads_can_not_be_written(tmp_path):
    key = tmp_path / "key.pem"
    key.touch()
    found = places(
        tmp_path,
        SLIPWAY_STORE=f"{tmp_path.as_uri()}/a%20store",
        SLIPWAY_SIGNING_KEY=str(key),
        MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/mlflow/mlflow.db",
    )
    assert {mount["Source"]: mount["ReadOnly"] for mount in found.mounts()} == {
        f"{tmp_path}/a store": False,
        f"{tmp_path}/home/cache": False,
        f"{tmp_path}/mlflow": False,
        f"{tmp_path}/data": True,
        f"{key}": True,
    }
    assert all(mount["Source"] == mount["Target"] and mount["Type"] == "bind" for mount in found.mounts())


@needs_root
def test_roots_own_files_are_handed_over_and_nobody_elses(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("SLIPWAY_HOME", str(home))
    found = places(
        tmp_path,
        SLIPWAY_STORE=f"{home.as_uri()}/store",
        MLFLOW_TRACKING_URI=f"sqlite:///{home}/mlflow.db",
    )
    found.require()
    for name in ("store/digits/runs", "runs/one/steps", "runs/two", "profiles", "mlartifacts/digits"):
        (home / name).mkdir(parents=True)
    (home / "mlflow.db").touch(0o644)
    (home / "cache" / "another's").touch()
    os.chown(home / "cache" / "another's", 4321, 4321)
    found.hand_over(home / "runs" / "one" / "steps")
    owners = {str(path.relative_to(home)): path.stat().st_uid for path in home.rglob("*")}
    given = "store store/digits store/digits/runs cache runs/one/steps mlflow.db mlartifacts mlartifacts/digits"
    assert {name for name, uid in owners.items() if uid == NOBODY} == set(given.split())
    assert owners["cache/another's"] == 4321
    assert not [path for path in home.rglob("*") if path.stat().st_mode & 0o022]


@needs_root
@pytest.mark.parametrize(("mode", "told"), [(0o700, "read"), (0o755, "written")])
def test_what_the_steps_can_not_reach_is_refused_before_anything_starts(tmp_path, monkeypatch, mode, told):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    (tmp_path / "data").mkdir(mode=mode)
    store = tmp_path / "store"
    with pytest.raises(RunError, match=rf"can't be {told} by user 65532"):
        places(tmp_path, SLIPWAY_STORE=store.as_uri()).require()
    (tmp_path / "data").chmod(0o755)
    os.chown(store, NOBODY, NOBODY)
    places(tmp_path, SLIPWAY_STORE=store.as_uri()).require()


def test_a_file_may_be_read_by_its_owner_its_group_or_everybody_as_its_mode_says(tmp_path):
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o640)
    state = path.stat()
    users = [User(state.st_uid, 1), User(1, state.st_gid), User(1, 1)]
    assert [user.may(path, os.R_OK) for user in users] == [True, True, False]
    assert [user.may(path, os.W_OK) for user in users] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2), ("500m", 0.5), ("0.5", 0.5), ("4G", 4e9), ("512Mi", 512 * 2**20), ("1k", 1000)]
)
def test_a_quantity_is_what_kubernetes_takes_it_for(text, number):
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "lots", "4GB", "-1", "1e3"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(RunError, match=f"{text} is no quantity; write it like 2, 500m, 4G or 512Mi"):
        quantity(text)


def test_an_image_that_is_not_there_is_named(engine, slipway, tmp_path):
    absent = ("--runner", "docker", "--image", "slipway/absent:1")
    done = slipway("run", "configs/digits.yaml", *absent, SLIPWAY_HOME=str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("slipway: the container engine has no image slipway/absent:1; make images builds")
    assert not (tmp_path / "runs").exists()
