"""Restarts of one replica after the other, behind a proxy that hears of it late, as in a rollout on Kubernetes."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Thread

from attack.clients import SERVER_CPU, Client
from attack.ground import Ground, Outcome
from attack.process import HOST, Predictor

#: Requests a second, and what a restart takes besides its draining.
RATE, START_SECONDS = 150, 4
SETTLE_SECONDS = 1.0
NAMES = ("s1", "s2")
CONFIG = """
global
    stats socket {socket} level admin
    maxconn 512
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend fe
    bind {host}:{port}
    default_backend be
backend be
    balance roundrobin
    server s1 {host}:{s1}
    server s2 {host}:{s2}
"""


def restart(ground: Ground) -> Outcome:
    """Restart replicas under load; the proxy learns of it up to a second before the replica is gone."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if not program:
        return Outcome(
            "skipped: no haproxy; on Debian and Ubuntu: sudo apt-get install haproxy", "0 failed", passed=True
        )
    scale = ground.scale
    seconds = scale.restarts * (scale.drain_seconds + START_SECONDS)
    ports = dict(zip(NAMES, _free_ports(), strict=False))
    replicas = {name: _replica(ground, name, port) for name, port in ports.items()}
    try:
        with _proxy(ground, program, ports) as (port, control):
            client = Client.start(ground.folder, port, [ground.good()], seconds, rate=RATE, connections=64)
            codes = _roll(ground, replicas, control, ports)
            found = client.found()
    finally:
        for replica in replicas.values():
            replica.end()
    return Outcome(
        f"{found.failed} of {found.sent} failed in {len(codes)} restarts, exit codes {sorted(set(codes))}, "
        f"p99 {found.cut('200', 'p99'):.1f} ms, longest {found.cut('200', 'max'):.0f} ms {found.statuses}",
        "0 failed, exit code 0",
        not found.failed and set(codes) == {0},
    )


def _roll(ground: Ground, replicas: dict[str, Predictor], control: Path, ports: dict[str, int]) -> list[int]:
    random = Random(0)  # noqa: S311  # no secret
    codes = []
    time.sleep(SETTLE_SECONDS)
    for number in range(ground.scale.restarts):
        name = NAMES[number % 2]
        lag = random.uniform(0, ground.scale.drain_seconds - 1)
        replicas[name].process.send_signal(signal.SIGTERM)
        late = Thread(target=_say_late, args=(control, f"set server be/{name} state maint", lag))
        late.start()
        codes.append(replicas[name].process.wait(60))
        late.join()
        replicas[name] = _replica(ground, name, ports[name])
        _say(control, f"set server be/{name} state ready")
        time.sleep(SETTLE_SECONDS / 2)
    return codes


def _replica(ground: Ground, name: str, port: int) -> Predictor:
    return ground.start("--http-port", str(port), "--drain-seconds", str(ground.scale.drain_seconds), name=name)


def _say_late(control: Path, command: str, seconds: float) -> None:
    time.sleep(seconds)
    _say(control, command)


def _say(control: Path, command: str) -> None:
    """Give the proxy a command, as the controller of endpoints would."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(control))
        line.sendall(f"{command}\n".encode())
        if said := line.recv(4096).strip():
            raise SystemExit(f"haproxy: {said.decode()}")


@contextmanager
def _proxy(ground: Ground, program: str, ports: dict[str, int]) -> Iterator[tuple[int, Path]]:
    control, config = ground.folder / "haproxy.sock", ground.folder / "haproxy.cfg"
    port = _free_ports()[0]
    config.write_text(CONFIG.format(socket=control, host=HOST, port=port, **ports))
    with (ground.folder / "haproxy.log").open("wb") as log:
        command = ["taskset", "-c", str(SERVER_CPU), program, "-f", str(config), "-db"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        limit = time.monotonic() + 10
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > limit:
                raise SystemExit(f"haproxy did not start: {(ground.folder / 'haproxy.log').read_text()[-500:]}")
            time.sleep(0.05)
        yield port, control
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True


def _free_ports() -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(3)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
