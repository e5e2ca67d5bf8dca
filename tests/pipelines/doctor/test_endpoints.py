"""The checks of store and MLflow against real servers."""

import os
import sqlite3
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from components.destination import S3
from components.store import open_store
from components.tracking import Tracking
from pipelines.doctor import endpoints


def found(check, **environment: str) -> list[tuple[str, str, str]]:
    places = {"SLIPWAY_STORE": "file:///nowhere", "MLFLOW_TRACKING_URI": "none"}
    return [(f.level, f.what, f.remedy) for f in check({**places, **environment})]


def reached(url: str) -> S3:
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    return S3.from_environment({"AWS_ENDPOINT_URL": url, **keys})


@pytest.fixture
def answering():
    """Starts a server that answers every request with a status, a body and a date."""
    servers = []

    def start(status: int, body: bytes = b"", date: float | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response_only(status)
                self.send_header("Date", formatdate(date, usegmt=True))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815 (the name that the server looks for)

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_bucket_is_used_and_left_as_it_was(bucket):
    levels = found(endpoints.store, **os.environ | {"SLIPWAY_STORE": bucket})
    assert [level for level, *_ in levels] == ["ok", "ok"]
    assert "can be listed, written on condition and read" in levels[1][1]
    assert open_store(bucket).keys("") == []


def test_a_bucket_that_does_not_exist_is_told_by_name(bucket):
    from pipelines.doctor import diagnose

    environment = os.environ | {"SLIPWAY_STORE": f"{bucket}-other", "MLFLOW_TRACKING_URI": "none"}
    *_, last = diagnose([lambda: endpoints.store(environment)])
    assert last.level == "problem"
    assert "NoSuchBucket" in last.what
    assert last.remedy == f"create bucket '{bucket[5:]}-other'"


def test_a_wrong_secret_is_told_and_not_shown(bucket, monkeypatch):
    from pipelines.doctor import diagnose

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    environment = os.environ | {"SLIPWAY_STORE": bucket, "MLFLOW_TRACKING_URI": "none"}
    *_, last = diagnose([lambda: endpoints.store(environment)])
    assert last.remedy == "check AWS_SECRET_ACCESS_KEY"
    assert "not-the-secret" not in str(last)


def test_a_store_that_overwrites_is_found_out(tmp_path):
    class Careless(type(open_store(tmp_path.as_uri()))):
        def create(self, key, path, done=lambda _: None):
            self.put(key, path, done)
            return True

    (finding,) = endpoints.probe(Careless(tmp_path))
    assert finding.level == "problem"
    assert "a conditional write overwrote an object" in finding.what


def test_a_folder_is_used_and_left_as_it_was(tmp_path):
    ((level, told, _),) = found(endpoints.store, SLIPWAY_STORE=tmp_path.as_uri())
    assert level == "ok"
    assert "written on condition" in told
    assert list(tmp_path.iterdir()) == []
    ((level, told, _),) = found(endpoints.store, SLIPWAY_STORE=(tmp_path / "later").as_uri())
    assert (level, told.endswith("will be made by the first run")) == ("ok", True)


@pytest.mark.parametrize(
    ("seconds", "level"), [(0, "ok"), (-300, "warning"), (3600, "problem")], ids=["none", "minutes", "an hour"]
)
def test_clocks_that_differ_are_told(answering, seconds, level):
    (finding,) = endpoints.server(reached(answering(403, date=time.time() + seconds)))
    assert finding.level == level


def test_a_store_that_is_down_is_told_within_seconds(answering):
    (finding,) = endpoints.server(reached("http://127.0.0.1:9"))
    assert finding.level == "problem"
    assert finding.what.startswith("no S3 server answers at http://127.0.0.1:9")


def test_no_mlflow_is_a_choice():
    assert [level for level, *_ in found(endpoints.tracking)] == ["ok"]


def test_mlflows_file_is_read_where_it_is(tmp_path):
    path = tmp_path / "mlflow.db"
    uri = f"sqlite:///{path}"
    assert "will be made" in found(endpoints.tracking, MLFLOW_TRACKING_URI=uri)[0][1]
    assert not path.exists()
    Tracking(uri).initialise()
    assert found(endpoints.tracking, MLFLOW_TRACKING_URI=uri) == [
        ("ok", f"MLflow's file {path} can be read and written", "")
    ]
    path.write_text("no database" * 100)
    assert found(endpoints.tracking, MLFLOW_TRACKING_URI=uri)[0][0] == "problem"
    path.unlink()
    sqlite3.connect(path).close()
    assert found(endpoints.tracking, MLFLOW_TRACKING_URI=uri)[0][0] == "problem"


def test_an_mlflow_server_is_used_as_a_client_does(mlflow_server):
    answers, version = found(endpoints.tracking, MLFLOW_TRACKING_URI=mlflow_server)
    assert answers == ("ok", f"MLflow at {mlflow_server} answers", "")
    assert (version[0], version[1].startswith("MLflow server 3.")) == ("ok", True)


def test_a_host_that_mlflow_refuses_is_told_with_its_port(mlflow_server):
    # Another spelling of loopback's address, which the server has not been told to accept.
    uri = mlflow_server.replace("127.0.0.1", "127.1")
    ((level, told, remedy),) = found(endpoints.tracking, MLFLOW_TRACKING_URI=uri)
    assert level == "problem"
    assert "refuses the host name 127.1:" in told
    assert f"add {uri.removeprefix('http://')} to the server's --allowed-hosts" in remedy


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "wants other credentials"),
        (500, "answers with status 500"),
        (404, "answers with status 404"),
        (302, "answers with status 302"),
    ],
    ids=["credentials", "fault", "no mlflow", "login"],
)
def test_an_mlflow_that_refuses_is_told_without_the_password(answering, status, told):
    uri = answering(status).replace("http://", "http://me:hidden@")
    ((level, what, _),) = found(endpoints.tracking, MLFLOW_TRACKING_URI=uri)
    assert level == "problem"
    assert told in what
    assert "hidden" not in what


def test_an_mlflow_of_another_version_is_a_warning(answering):
    uri = answering(200, b"1.30.0")
    assert [level for level, *_ in found(endpoints.tracking, MLFLOW_TRACKING_URI=uri)] == ["ok", "warning"]


def test_an_mlflow_that_is_down_is_told():
    ((level, told, _),) = found(endpoints.tracking, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert (level, told.startswith("no MLflow server answers at http://127.0.0.1:9")) == ("problem", True)
