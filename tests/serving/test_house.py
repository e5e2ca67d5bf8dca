"""The parts of a server together: each is there, each is asked to end, and a failed start leaves nothing behind."""

import json
import threading

import httpx
import pytest
from wire import BODY, GOOD, eventually, metrics

from modelpackage import load
from serving.errors import SettingsError
from serving.house import serve
from serving.settings import Settings

INFER = "/v2/models/tiny/infer"
HEADERS = {"content-type": "application/json"}


def test_every_part_of_a_server_is_at_work(launch, sealed, tmp_path):
    start, stop = launch
    flags = ("--prediction-log", tmp_path.as_uri(), "--prediction-sample", "1", "--state", str(tmp_path / "state"))
    server = start(sealed.path, *flags, "--name", "other", "--page", "true")
    port = server.ready["http_port"]
    with httpx.Client(base_url=server.http) as client:
        assert client.post("/v2/models/other/infer", content=BODY, headers=HEADERS).status_code == 200
        judged = client.post("/v2/models/other/feedback", json={"id": GOOD["id"], "labels": ["right"]})
        assert judged.json() == {"id": GOOD["id"], "rows": 1, "correct": 1}
        assert client.get("/").headers["content-type"].startswith("text/html")
    assert eventually(lambda: metrics(port)['slipway_drift_rows{side="input"}'] == 1)
    found = metrics(port)
    assert found["process_open_fds"] > 0
    assert found['slipway_requests_total{code="200",protocol="rest"}'] == 1
    assert {name.partition("{")[0] for name in found} >= {"slipway_batch_rows_count", "slipway_package_info"}
    assert stop(server)[0] == 0
    (written,) = [path for path in tmp_path.rglob("*.jsonl*") if path.is_file()]
    assert written.stat().st_size
    assert any((tmp_path / "state").iterdir())


def test_quality_and_drift_outlive_the_process(launch, sealed, tmp_path):
    start, stop = launch
    rows = 'slipway_drift_rows{side="output"}'
    for count in (1, 2):
        server = start(sealed.path, "--state", str(tmp_path / "state"))
        asked = GOOD | {"id": str(count)}
        assert httpx.post(f"{server.http}{INFER}", json=asked).status_code == 200
        assert eventually(lambda server=server, count=count: metrics(server.ready["http_port"])[rows] == count)
        assert stop(server)[0] == 0


def test_only_requests_without_an_answer_get_a_line_if_that_is_wanted(launch, sealed):
    start, stop = launch
    server = start(sealed.path, "--log", "errors")
    assert httpx.post(f"{server.http}{INFER}", content=BODY, headers=HEADERS).status_code == 200
    assert httpx.post(f"{server.http}{INFER}", content=b"{", headers=HEADERS).status_code == 400
    _, out, _ = stop(server)
    codes = [json.loads(line).get("code") for line in out.splitlines()]
    assert [code for code in codes if code] == ["400"]


@pytest.mark.parametrize("place", ["ftp://somewhere/else", "s3://bucket-without-credentials/p"])
def test_a_prediction_log_that_can_t_be_written_ends_the_start(sealed, place):
    before = set(threading.enumerate())
    settings = Settings(package=sealed.path, host="127.0.0.1", http_port=0, grpc_port=0, prediction_log=place)
    with pytest.raises(SettingsError):
        serve(load(sealed.path), settings, {})
    assert {thread.name for thread in set(threading.enumerate()) - before} <= {"log"}
