"""PostgreSQL for MLflow alone: a data folder, a port on loopback and a random password of its own.

For ``hack/services`` alone. As root, which PostgreSQL refuses, it runs as another user.
"""

import os
import pwd
import shutil
from functools import partial
from pathlib import Path

import servers
from servers import FOLDER, LOOPBACK, Server, Trouble


def prepare(*, known: bool) -> str:
    """Make PostgreSQL's data folder unless it is known; return why there is no PostgreSQL, or nothing."""
    initdb, user = _program("initdb"), _user()
    missing = not (initdb and _program("postgres"))
    if known and missing:
        raise Trouble(
            f"earlier runs are in PostgreSQL, {FOLDER / 'postgres'}, whose programs are gone; install them again"
        )
    if known:
        return ""
    if missing:
        return "PostgreSQL (initdb, postgres) is not installed"
    if os.geteuid() == 0 and not user:
        return "postgres refuses to run as root, and there is no user postgres or nobody"
    return _make_cluster(str(initdb), user)


def _make_cluster(initdb: str, user: str | None) -> str:
    """Make the data folder as the user; return why that failed, or nothing."""
    data, password = servers.folder("postgres"), FOLDER / "initdb.password"
    servers.write(password, servers.token("postgres_password", 16))
    if user:
        shutil.chown(data, user)
        shutil.chown(password, user)
    options = ["--username=mlflow", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", f"--pwfile={password}"]
    try:
        servers.finish("initdb", [initdb, f"--pgdata={data}", *options], servers.own_environment(), 300, user)
    except Trouble as trouble:
        return f"initdb{f' as user {user}' if user else ''} fails: {str(trouble).splitlines()[-1].strip()}"
    finally:
        password.unlink()
    return ""


def start() -> str:
    number, data = servers.port("postgres"), FOLDER / "postgres"
    user = data.owner() if os.geteuid() == 0 else None
    servers.write(FOLDER / "pgpass", f"{LOOPBACK}:*:*:mlflow:{servers.token('postgres_password', 16)}\n")
    # Without a socket file there is no path that could be too long, and nothing but the password opens the server.
    settings = {"listen_addresses": LOOPBACK, "port": str(number), "unix_socket_directories": ""}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server = Server(
        name="postgres",
        command=[str(_program("postgres")), "-D", str(data), *options],
        environment={},
        note=f"{LOOPBACK}:{number}" + (f", as user {user}" if user else ""),
        ready=partial(_ready, data / "postmaster.pid"),
        user=user,
    )
    server.start()
    return f"postgresql+psycopg2://mlflow@{LOOPBACK}:{number}/postgres"


def _ready(path: Path) -> bool:
    """Read PostgreSQL's own word: the first line is its pid, the eighth its state."""
    lines = path.read_text().splitlines() if path.exists() else []
    pids = [str(process.pid) for process in servers.living("postgres")]
    return len(lines) > 7 and lines[0] in pids and lines[7].strip() == "ready"


def _program(name: str) -> str | None:
    versions = sorted(
        Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda path: float(path.parent.name), reverse=True
    )
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, versions)))


def _user() -> str | None:
    """Return whom PostgreSQL runs as where we are root, which it refuses."""
    there = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in there), None) if os.geteuid() == 0 else None
