"""Checks of the store and of MLflow, wherever they are. They leave nothing behind that they may remove."""

import base64
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import urllib3

from components.destination import S3, Destination
from components.errors import StoreError
from components.store import Store, open_store
from pipelines.doctor import Check, Finding, ok, problem, warning
from pipelines.doctor.laptop import installed

SQLITE = "sqlite:///"
TIMEOUT = urllib3.Timeout(connect=3, read=5)
#: One object, always the same, so that a key that may write and not remove leaves no more than this.
PROBE, CONTENT = ".doctor-probe", b"ok"
#: A signature is refused when the clocks differ by more than this.
SIGNATURE_SECONDS, NOTABLE_SECONDS = 900, 60
OK, UNAUTHORISED, FORBIDDEN, FAULT = 200, 401, 403, 500


def checks(environment: Mapping[str, str]) -> list[Check]:
    """Return the checks of the places that the environment names."""
    return [lambda: store(environment), lambda: tracking(environment)]


def store(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Tell whether packages can be published and read."""
    uri = Destination.from_environment(environment).store
    if uri.startswith("s3://"):
        reached = list(server(S3.from_environment(environment)))
        yield from reached
        if any(finding.level == "problem" for finding in reached):
            return
    elif not Path(unquote(urlsplit(uri).path)).exists():
        yield ok(f"store {uri} will be made by the first run")
        return
    yield from probe(open_store(uri))


def server(s3: S3) -> Iterator[Finding]:
    """Tell whether an S3 server answers, and whether its clock agrees with ours: signatures carry the time."""
    try:
        answer = urllib3.request("HEAD", s3.endpoint, timeout=TIMEOUT, retries=False)
    except urllib3.exceptions.HTTPError as error:
        told = f"no S3 server answers at {s3.endpoint} ({type(error).__name__})"
        yield problem(told, "check AWS_ENDPOINT_URL and that the server runs")
        return
    date = answer.headers.get("Date")
    skew = abs(time.time() - parsedate_to_datetime(date).timestamp()) if date else 0.0
    told = f"S3 server {s3.endpoint} answers; the clocks differ by {skew:.0f} s"
    if skew > NOTABLE_SECONDS:
        yield (problem if skew > SIGNATURE_SECONDS else warning)(told, "set the clocks, best by NTP")
    else:
        yield ok(told)


def probe(store: Store) -> Iterator[Finding]:
    """Tell whether a store can be listed, written on condition, read, and cleaned up."""
    with TemporaryDirectory() as scratch:
        file, copy = Path(scratch) / "probe", Path(scratch) / "copy"
        file.write_bytes(CONTENT)
        mine = not store.keys(PROBE) and store.create(PROBE, file)
        again = store.create(PROBE, file)
        store.get(PROBE, copy)
        whole = copy.read_bytes() == CONTENT
        left = _left(store)
    if again or not whole:
        what = "a conditional write overwrote an object" if again else "what was read is not what was written"
        yield problem(f"store {store.uri}: {what}", "use an S3 server that knows If-None-Match, such as MinIO")
    else:
        yield ok(f"store {store.uri} can be listed, written on condition and read{left if mine else ''}")


def _left(store: Store) -> str:
    try:
        store.remove(PROBE)
    except StoreError:
        return f"; {PROBE} of {len(CONTENT)} bytes stays, as this key may not remove it"
    return ""


def tracking(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Tell whether runs and versions can be recorded."""
    uri = Destination.from_environment(environment).tracking
    if uri is None:
        yield ok("MLFLOW_TRACKING_URI=none: runs are recorded in the store alone")
    elif uri.startswith(SQLITE):
        yield from _file(Path(uri.removeprefix(SQLITE)))
    elif uri.startswith(("http://", "https://")):
        yield from _server(uri.rstrip("/"), environment)
    else:
        yield ok(f"MLflow is at {urlsplit(uri).scheme}://, which is not looked at")


def _file(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield ok(f"MLflow's file {path} will be made by the first run")
        return
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        remedy = "move it away; the next run makes another, and slipway register fills it from the store"
        yield problem(f"MLflow's file {path} can't be read: {error}", remedy)
        return
    if os.access(path, os.W_OK):
        yield ok(f"MLflow's file {path} can be read and written")
    else:
        yield problem(f"MLflow's file {path} can't be written", f"chmod u+w {path}")


def _server(uri: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    try:
        version = urllib3.request("GET", f"{uri}/version", timeout=TIMEOUT, retries=False)
        used = urllib3.request(
            "GET",
            f"{uri}/api/2.0/mlflow/experiments/search?max_results=1",
            headers=_authorisation(environment),
            timeout=TIMEOUT,
            retries=False,
        )
    except urllib3.exceptions.HTTPError as error:
        told = f"no MLflow server answers at {_plain(uri)} ({type(error).__name__})"
        yield problem(told, "check MLFLOW_TRACKING_URI and that the server runs")
        return
    yield _use(uri, used)
    if used.status == OK:
        yield _compared(version.data.decode("utf-8", errors="replace").strip())


def _use(uri: str, answer: urllib3.BaseHTTPResponse) -> Finding:
    """Judge a call of a client: /health and /version are exempt from the host check, so they tell nothing of it."""
    if answer.status == FORBIDDEN and b"Invalid Host" in answer.data:
        host = urlsplit(uri).netloc.rpartition("@")[2]
        return problem(
            f"MLflow at {_plain(uri)} refuses the host name {host} to every client, although its probes are green",
            f"add {host} to the server's --allowed-hosts (MLFLOW_SERVER_ALLOWED_HOSTS); the port belongs to it",
        )
    if answer.status in (UNAUTHORISED, FORBIDDEN):
        remedy = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return problem(f"MLflow at {_plain(uri)} wants other credentials (status {answer.status})", remedy)
    if answer.status != OK:
        remedy = "look at its log: the database behind it?" if answer.status >= FAULT else "is that an MLflow server?"
        return problem(f"MLflow at {_plain(uri)} answers with status {answer.status}", remedy)
    return ok(f"MLflow at {_plain(uri)} answers")


def _compared(theirs: str) -> Finding:
    ours = installed("mlflow") or installed("mlflow-skinny") or "?"
    if theirs.split(".")[:2] == ours.split(".")[:2]:
        return ok(f"MLflow server {theirs}, client {ours}")
    return warning(f"MLflow server {theirs[:40]}, client {ours}", "run both in one minor version")


def _authorisation(environment: Mapping[str, str]) -> dict[str, str]:
    if token := environment.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := environment.get("MLFLOW_TRACKING_USERNAME"):
        pair = f"{user}:{environment.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _plain(uri: str) -> str:
    """Return a URI without the password that it may hold."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
