"""``hack/services`` for real: MinIO and MLflow start, are used with what the profile says, and leave nothing behind."""

import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import urllib3

ROOT = Path(__file__).parents[2]
MINIO = os.environ.get("MINIO") or shutil.which("minio")
#: What would make the program use other servers than its own.
FOREIGN = ("AWS_", "MLFLOW_", "SLIPWAY_")

needs_minio = pytest.mark.skipif(not MINIO, reason="no MinIO server: put `minio` on the PATH or its place into MINIO")
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Services:
    """A folder, and the program at work in it."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "services"

    @property
    def profile(self) -> Path:
        return self.home / "profiles" / "services.env"

    def environment(self, **more: str) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {**own, "SLIPWAY_HOME": str(self.home), **more}

    def __call__(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, ROOT / "hack" / "services", *arguments],
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def variables(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.profile.read_text().splitlines())

    def processes(self) -> dict[str, list[int]]:
        return {
            path.stem: [pid for pid, _ in json.loads(path.read_text())["processes"]]
            for path in self.folder.glob("*.pid")
        }

    def mentioned(self) -> list[int]:
        """Processes of the whole machine whose command line names the folder; the dead that nobody buried have none."""
        return [
            p.pid for p in psutil.process_iter(["cmdline"]) if str(self.folder) in " ".join(p.info["cmdline"] or [])
        ]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    # pytest's own folders are closed to other users, and as root PostgreSQL has to run as one of them.
    home = Path(tempfile.mkdtemp(prefix="services-"))
    home.chmod(0o711)
    program = Services(home)
    yield program
    program("down", "--purge")
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def said(services: Services) -> str:
    """What the very first start said."""
    return services("up").stdout


@pytest.fixture
def running(services: Services, said: str) -> Services:
    done = services("up")
    assert done.returncode == 0, done.stdout + done.stderr
    return services


@pytest.fixture
def empty(tmp_path: Path) -> Services:
    return Services(tmp_path)


def ended(pids: list[int]) -> bool:
    return all(not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in pids)


@needs_minio
def test_up_says_what_a_user_needs_and_a_second_up_changes_nothing(running: Services):
    before = running.processes()
    again = running("up")
    assert "already up" in again.stdout
    assert "slipway run configs/digits.yaml --profile services" in again.stdout
    assert running.variables()["MLFLOW_TRACKING_URI"] in again.stdout
    assert running.processes() == before
    assert running("status").returncode == 0


@needs_minio
def test_the_profile_is_the_owners_alone_and_holds_the_agreed_names(running: Services):
    assert stat.S_IMODE(running.profile.stat().st_mode) == 0o600
    variables = running.variables()
    assert set(variables) == {
        "SLIPWAY_STORE",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "MLFLOW_TRACKING_URI",
    }
    assert variables["SLIPWAY_STORE"] == "s3://models"
    for name in ("AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI"):
        assert variables[name].startswith("http://127.0.0.1:")


@needs_minio
def test_an_object_comes_back_from_the_store_of_the_profile(running: Services, tmp_path: Path, monkeypatch):
    from components.store import open_store

    for name, value in running.variables().items():
        monkeypatch.setenv(name, value)
    store = open_store(running.variables()["SLIPWAY_STORE"])
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(secrets.token_bytes(1000))
    store.put("folder/object", sent)
    store.get("folder/object", back)
    assert back.read_bytes() == sent.read_bytes()


@needs_minio
def test_a_run_and_its_artifact_reach_mlflow_and_the_object_store(running: Services, tmp_path: Path, monkeypatch):
    from mlflow import MlflowClient

    for name, value in running.variables().items():
        monkeypatch.setenv(name, value)
    client = MlflowClient(tracking_uri=running.variables()["MLFLOW_TRACKING_URI"])
    run = client.create_run(client.create_experiment(secrets.token_hex(4))).info.run_id
    (tmp_path / "report.txt").write_text("fine")
    client.log_artifact(run, str(tmp_path / "report.txt"))
    assert [file.path for file in client.list_artifacts(run)] == ["report.txt"]
    assert any(run in str(path) for path in (running.folder / "minio" / "mlflow").rglob("report.txt"))


@needs_minio
def test_the_host_check_of_mlflow_is_on(running: Services):
    url = running.variables()["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/experiments/search?max_results=1"
    assert urllib3.request("GET", url).status == 200
    assert urllib3.request("GET", url, headers={"Host": "elsewhere.example:80"}).status == 403


@needs_minio
def test_the_database_is_postgresql_or_the_reason_is_said(running: Services, said: str):
    state = json.loads((running.folder / "state.json").read_text())
    if state["database"] == "postgresql":
        assert "postgres" in running.processes()
        assert "runs in PostgreSQL" in said
    else:
        assert "sqlite in " in said
        assert "because" in said


@needs_minio
def test_no_secret_stands_on_a_command_line_or_in_a_log_or_in_what_is_said(running: Services):
    state = json.loads((running.folder / "state.json").read_text())
    hidden = [value for name, value in state.items() if name in {"minio_secret", "postgres_password"}]
    assert hidden
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    logs = [path.read_text(errors="replace") for path in running.folder.glob("*.log")]
    for secret in hidden:
        assert not any(secret in text for text in [*lines, *logs, running("status").stdout])
    readable = [path for path in running.folder.iterdir() if path.is_file() and path.stat().st_mode & 0o077]
    assert not readable


@needs_minio
def test_a_run_publishes_to_the_services_and_leaves_no_secret_anywhere(running: Services, tmp_path: Path):
    command = [Path(sys.executable).with_name("slipway"), "run", "configs/digits.yaml", "--profile", "services"]
    canary = f"canary-{secrets.token_hex(8)}"
    environment = running.environment(SOME_TOKEN=canary)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "s3://models/digits/sha256-" in done.stdout
    assert "(champion, challenger)" in done.stdout
    hidden = [canary, running.variables()["AWS_SECRET_ACCESS_KEY"]]
    places = [running.home / "runs", running.folder / "minio", running.folder / "mlflow", ROOT / "pipelines"]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert any("sha256-" in str(path) for path in files), "the published package is among what is searched"
    for secret in hidden:
        assert secret not in done.stdout + done.stderr
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


@needs_minio
def test_up_starts_all_anew_where_a_part_has_died(running: Services):
    before = running.processes()
    os.kill(before["minio"][0], signal.SIGKILL)
    while not ended(before["minio"]):
        time.sleep(0.05)
    assert running("status").returncode == 1
    urls = running.variables()
    assert running("up").returncode == 0
    assert ended([pid for pids in before.values() for pid in pids])
    assert running.variables() == urls


@needs_minio
def test_down_ends_every_process_and_keeps_the_data(running: Services):
    before = [pid for pids in running.processes().values() for pid in pids]
    assert running("down").returncode == 0
    assert ended(before)
    assert not running.mentioned()
    assert not running.processes()
    assert not running.profile.exists()
    assert (running.folder / "minio" / "models").is_dir()
    assert running("status").returncode == 1


@needs_minio
def test_an_up_that_fails_half_way_leaves_nothing_running(empty: Services):
    for name, text in (("mlflow/mlflow.db", "no database"), ("postgres/file", "so that initdb refuses")):
        path = empty.folder / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    done = empty("up")
    assert done.returncode == 2
    assert "minio     ready" in done.stdout
    assert "file is not a database" in done.stderr
    assert not empty.mentioned()
    assert not empty.profile.exists()


@needs_minio
def test_an_up_that_is_terminated_leaves_nothing_running(empty: Services):
    command = [sys.executable, ROOT / "hack" / "services", "up"]
    with subprocess.Popen(command, env=empty.environment(), stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert "minio     ready" in up.stdout.readline()
        up.terminate()
        assert up.wait(timeout=60) == 128 + signal.SIGTERM
    assert not empty.mentioned()


def test_the_log_of_a_server_that_ends_at_once_is_shown(empty: Services, tmp_path: Path):
    program = tmp_path / "minio"
    program.write_text("#!/bin/sh\necho the disk is full\nexit 3\n")
    program.chmod(0o755)
    done = empty("up", MINIO=str(program))
    assert done.returncode == 2
    assert "minio ended with 3" in done.stderr
    assert "the disk is full" in done.stderr


def test_without_any_s3_server_the_error_names_the_ways_out(empty: Services, tmp_path: Path):
    done = empty("up", MINIO="", PATH="", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 2
    for way in ("AWS_ENDPOINT_URL", "MINIO", "docker", "install go"):
        assert way in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_that_took_over_the_id_is_left_alone(empty: Services):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        empty.folder.mkdir()
        processes = [[other.pid, ["minio", "server", str(empty.folder)]]]
        (empty.folder / "minio.pid").write_text(json.dumps({"note": "", "processes": processes}))
        done = empty("down")
        assert "none was running" in done.stdout
        assert other.poll() is None
        other.kill()


@needs_minio
def test_a_server_that_the_environment_names_is_used(empty: Services, minio_server: dict[str, str]):
    try:
        done = empty("up", **minio_server)
        assert done.returncode == 0, done.stderr
        assert "minio" not in empty.processes()
        assert empty.variables().items() >= minio_server.items()
    finally:
        empty("down")
    assert not empty.mentioned()
