"""Servers that outlive the program that started them: started, put on record, recognised and ended by process id.

For ``hack/services`` alone. Nothing is ended that is not on record, or that is no longer the program on record.
"""

import fcntl
import json
import os
import pwd
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it carries no types
import urllib3

from pipelines.home import Home

FOLDER = Home().path / "services"
LOOPBACK = "127.0.0.1"
#: What a user's shell says about other servers must not reach ours.
FOREIGN = ("AWS_", "MINIO_", "MLFLOW_", "PG", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY")
#: Seconds for each of the three ways to ask a process to end, and the most lines of a log that an error shows.
PATIENCE, TAIL = 15, 12


class Trouble(Exception):  # noqa: N818 (what the user is in)
    """Shown as one message, without a traceback."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A program that keeps running.

    Attributes:
        name: Names its log and its record.
        command: Free of secrets, because everyone can read it.
        environment: Beside what the user's own says.
        note: Tells people where it is.
        ready: Whether it answers.
        limit: Seconds until then.
        user: Whom it runs as, if not as us.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    note: str
    ready: Callable[[], bool]
    limit: int = 60
    user: str | None = None

    def start(self) -> None:
        """Start it and wait until it answers; it is on record before that, so that it can always be ended."""
        log, begun = FOLDER / f"{self.name}.log", time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command,
                env=own_environment() | dict(self.environment),
                start_new_session=True,
                **_surroundings(output, self.user),
            )
        self._keep_record(psutil.Process(process.pid))
        while not self.ready():
            if process.poll() is not None:
                raise Trouble(f"{self.name} ended with {process.returncode} before it was ready{_tail(log)}")
            if time.monotonic() - begun > self.limit:
                raise Trouble(f"{self.name} was not ready after {self.limit} s{_tail(log)}")
            time.sleep(0.2)
        # MLflow's first process would leave behind the one that answers: both must be known.
        family = psutil.Process(process.pid).children(recursive=True) if self.name == "mlflow" else []
        self._keep_record(psutil.Process(process.pid), *family)
        say(self.name, f"ready after {time.monotonic() - begun:.0f} s")

    def _keep_record(self, *processes: psutil.Process) -> None:
        commands = []
        for process in processes:
            with suppress(psutil.Error):  # it ended at once; whoever waits for it says so
                commands.append([process.pid, process.cmdline()])
        write(FOLDER / f"{self.name}.pid", json.dumps({"note": self.note, "processes": commands}))


def finish(name: str, command: list[str], environment: Mapping[str, str], limit: int, user: str | None = None) -> None:
    """Run a program to its end, at most ``limit`` seconds.

    Raises:
        Trouble: It failed; shows the end of what it wrote.
    """
    log = FOLDER / f"{name}.log"
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                command, check=False, env=environment, timeout=limit, **_surroundings(output, user)
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Trouble(f"{name} did not end within {limit} s{_tail(log)}") from None
    if done.returncode:
        raise Trouble(f"{name} ended with {done.returncode}{_tail(log)}")


def _surroundings(output: Any, user: str | None) -> dict[str, Any]:
    identity = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    return {"cwd": "/", "stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT, **identity}


def own_environment() -> dict[str, str]:
    """Return the user's environment without what it says about servers."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)}


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()[-TAIL:]
    return f"; the last lines of {log}:\n" + "\n".join(f"    {line}" for line in lines)


def answers(url: str) -> bool:
    """Tell whether a GET is answered with 200."""
    try:
        return urllib3.request("GET", url, retries=False, timeout=5).status == 200
    except urllib3.exceptions.HTTPError:
        return False


# --- processes on record ---------------------------------------------------------------------------------------------


def record(name: str) -> dict[str, Any]:
    """Return a server's ``note`` and its ``processes``, each a pid and a command line; the first one started first."""
    path = FOLDER / f"{name}.pid"
    return dict(json.loads(path.read_text())) if path.exists() else {"note": "", "processes": []}


def living(name: str) -> list[psutil.Process]:
    """Return the processes on record that still are the program they were."""
    found = []
    for pid, command in record(name)["processes"]:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.cmdline() == command:
                found.append(process)
    return found


def complete(name: str) -> bool:
    """Tell whether everything on record for a server still runs."""
    return 0 < len(living(name)) == len(record(name)["processes"])


def stop(name: str) -> bool:
    """Ask the first process to end, then all of them, then kill; tell whether one was running."""
    family = living(name)
    family += [child for process in family for child in process.children(recursive=True) if child not in family]
    # PostgreSQL takes SIGTERM for "when the last client has left".
    polite = signal.SIGINT if name == "postgres" else signal.SIGTERM
    for number, some in ((polite, family[:1]), (signal.SIGTERM, family), (signal.SIGKILL, family)):
        for process in some:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        _wait_for_end(some)
    (FOLDER / f"{name}.pid").unlink(missing_ok=True)
    return bool(family)


def _wait_for_end(processes: list[psutil.Process]) -> None:
    end = time.monotonic() + PATIENCE
    while any(map(_runs, processes)) and time.monotonic() < end:
        time.sleep(0.1)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


# --- what outlives a restart -----------------------------------------------------------------------------------------


def port(server: str) -> int:
    """Return the port that a server had before if it is still free, else any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that are closing do not count
        try:
            probe.bind((LOOPBACK, int(recall(f"{server}_port") or 0)))
        except OSError:
            probe.bind((LOOPBACK, 0))
        return int(remember(f"{server}_port", str(probe.getsockname()[1])))


def token(name: str, size: int) -> str:
    """Return a random credential of ``size`` bytes, the same every time."""
    return recall(name) or remember(name, secrets.token_hex(size))


def recall(name: str) -> str | None:
    """Return what was remembered."""
    return _state().get(name)


def remember(name: str, value: str) -> str:
    """Keep a value over restarts, and return it."""
    write(FOLDER / "state.json", json.dumps(_state() | {name: value}))
    return value


def _state() -> dict[str, str]:
    path = FOLDER / "state.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def folder(name: str) -> Path:
    """Return a folder of ours, made if need be."""
    path = FOLDER / name
    path.mkdir(exist_ok=True)
    return path


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all; its owner alone may read it."""
    half = path.with_name(f"{path.name}.half")
    half.touch(mode=0o600)
    half.write_text(text)
    half.replace(path)


@contextmanager
def alone() -> Iterator[None]:
    """Make the folder, which other users may pass through but not read, and keep a second caller out."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    FOLDER.chmod(0o711)
    os.umask(0o077)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Trouble(f"another hack/services is at work in {FOLDER}; try again when it has ended") from None
        yield


def say(topic: str, text: str) -> None:
    """Print one line for people."""
    print(f"{topic:<9} {text}", flush=True)
