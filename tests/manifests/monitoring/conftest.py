"""What a real predictor exports once it was asked: the names that rules and dashboard may use."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asking
import pytest
import tiny
import urllib3
from probes import CANARY, GOOD, INFER, image
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from promql import Exported

from modelpackage import Package, Reference, describe, histogram

ROOT = Path(__file__).parents[3]
ROWS = 250


@contextmanager
def predictor(package: Package) -> Iterator[dict]:
    """The ready line of a predictor on loopback."""
    command = [sys.executable, "-m", "serving", "--package", str(package.path), "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--http-port", "0", "--grpc-port", "0", "--drain-seconds", "0", "--log", "errors"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("SLIPWAY_")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        ready = next((line for line in map(json.loads, process.stdout) if line["event"] == "ready"), None)
        assert ready, "the predictor ended before it was ready"
        yield ready
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ask(url: str, path: str, fields: dict) -> int:
    return urllib3.request("POST", url + path, json=fields, retries=False, timeout=20).status


def scrape(url: str) -> list[Metric]:
    text = urllib3.request("GET", f"{url}/metrics", retries=False, timeout=20).data.decode()
    return list(text_string_to_metric_families(text))


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The tiny model with a reference of enough rows to tell drift."""
    images = tiny.rows(1000)
    reference = Reference(
        rows=len(images),
        inputs={name: histogram(values) for name, values in describe(images, kind="image").items()},
        confidence=histogram(tiny.answers(images).max(axis=1).astype(float)),
        classes=dict.fromkeys(tiny.LABELS, 333),
    )
    return tiny.seal(tmp_path_factory.mktemp("watched") / "package", reference=reference)


@pytest.fixture(scope="session")
def exported(package: Package) -> Exported:
    """Each sample's labels, of a predictor that answered, refused, heard the truth and saw enough rows for drift."""
    with predictor(package) as ready:
        url = f"http://127.0.0.1:{ready['http_port']}"
        rows = image(shape=[ROWS, 2, 2], data=[1, 2, 3, 4] * ROWS) | {"id": "judged"}
        assert ask(url, INFER, rows) == 200
        assert ask(url, INFER, {"inputs": CANARY}) == 400
        with asking.rpc(Grpc(f"127.0.0.1:{ready['grpc_port']}")) as rpc:
            rpc.infer(asking.message(GOOD, model="tiny"))
        for _ in range(100):
            judged = ask(url, "/v2/models/tiny/feedback", {"id": "judged", "labels": ["right"] * ROWS}) == 200
            families = scrape(url)
            if judged and any(family.name == "slipway_drift_alarm" and family.samples for family in families):
                return {sample.name: set(sample.labels) for family in families for sample in family.samples}
            time.sleep(0.1)
    raise AssertionError("no drift after 10 s")


class Grpc:
    """What :func:`asking.rpc` wants to know of a server."""

    def __init__(self, address: str) -> None:
        self.grpc = address
