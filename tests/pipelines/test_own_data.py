"""Data that its code never saw, from a draft of its configuration to a v2 answer; and the other workloads, in small."""

import gzip
import json
import os
import re
import signal
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

FEW = ("--set", "train.epochs=2", "--set", "gate.minimum=0")


def answers(package: Path, *questions: list[dict]) -> list[dict]:
    """Serve a package and ask it v2 questions."""
    command = [sys.executable, "-m", "pipelines", "serve", str(package), "--http-port", "0", "--grpc-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            ready = next(event for line in server.stdout if (event := json.loads(line))["event"] == "ready")
            name = json.loads((package / "model.json").read_text())["name"]
            url = f"http://127.0.0.1:{ready['http_port']}/v2/models/{name}/infer"
            return [ask(url, inputs) for inputs in questions]
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=30)


def ask(url: str, inputs: list[dict]) -> dict:
    body = json.dumps({"inputs": inputs}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 (loopback)
    with urllib.request.urlopen(request, timeout=10) as got:  # noqa: S310 (loopback)
        return {output["name"]: output["data"] for output in json.loads(got.read())["outputs"]}


def published(done) -> Path:
    assert done.code == 0, done.out + done.err
    return Path(re.search(r"package   file://(\S+)", done.out)[1])


@pytest.fixture(scope="module")
def churn(tmp_path_factory) -> Path:
    """A table with numbers, gaps, categories, an identifier and a code, whose label follows from two columns."""
    random = np.random.default_rng(0)
    lines = ["customer,age,plan,zip,churned"]
    for row in range(400):
        age, plan = random.integers(18, 80), random.choice(["gold", "silver", "free"])
        churned = (age < 40) ^ (plan == "gold") if random.random() < 0.95 else random.random() < 0.5
        shown = "" if random.random() < 0.05 else age
        lines.append(f"c{row:04d},{shown},{plan},0{random.integers(1000, 1010)},{'yes' if churned else 'no'}")
    path = tmp_path_factory.mktemp("tables") / "churn.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_goes_from_a_draft_to_a_v2_answer(slipway, churn, tmp_path):
    drafted = slipway("new", str(churn), "--label", "churned")
    assert drafted.code == 0, drafted.err
    config = tmp_path / "churn.yaml"
    config.write_text(drafted.out)
    content = yaml.safe_load(drafted.out)
    assert content["name"] == "churn"
    assert content["data"]["drop"] == ["customer"]
    package = published(slipway("run", str(config)))
    signature = json.loads((package / "model.json").read_text())["signature"]["inputs"]
    assert [tensor["fields"] for tensor in signature] == [["age"], ["plan", "zip"]]
    rows = [(25, "silver", "01003"), (70, "silver", "01003"), (70, "gold", "01003"), (25, "gold", "01003")]
    *clear, gaps = answers(package, *(row_of(*row) for row in rows), row_of(None, "never seen", "99999"))
    assert [found["label"] for found in clear] == [["yes"], ["no"], ["yes"], ["no"]]
    assert sum(gaps["probabilities"]) == pytest.approx(1, abs=1e-5)


def row_of(age: int | None, plan: str, code: str) -> list[dict]:
    return [
        {"name": "numbers", "datatype": "FP32", "shape": [1, 1], "data": [age]},
        {"name": "categories", "datatype": "BYTES", "shape": [1, 2], "data": [plan, code]},
    ]


def test_runs_are_compared_by_what_differs(slipway, churn, tmp_path):
    config = tmp_path / "compared.yaml"
    config.write_text(slipway("new", str(churn), "--label", "churned", "--name", "compared").out)
    for model in ("random_forest", "logistic_regression"):
        settings = (f"train={{model: {model}}}", "gate.minimum=0", "champion.worse=challenge")
        published(slipway("run", str(config), *(word for setting in settings for word in ("--set", setting))))
    runs = sorted(path.name for path in (slipway("--version").home / "runs").glob("*-compared*"))
    compared = slipway("compare", *runs)
    assert compared.code == 0, compared.err
    differing = compared.out.split("\n\n")[1]
    assert re.search(r"train.model +random_forest +logistic_regression", differing)
    assert "data.label" not in differing
    assert (slipway("--version").home / "compare.html").read_text().startswith("<!doctype html>")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Two kinds of pictures that a glance tells apart: warm with stripes, cold with none."""
    folder, random = tmp_path_factory.mktemp("pictures") / "photos", np.random.default_rng(0)
    for name in ("cold", "warm"):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            pixels = random.integers(0, 90, (40, 50, 3))
            pixels[..., 0 if name == "warm" else 2] += 140
            form = ("png", "jpg", "webp")[number % 3]
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.{form}")
    (folder / "cold" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return folder


def test_a_folder_of_pictures_goes_from_a_draft_to_a_v2_answer(slipway, photos, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    drafted = slipway("new", str(photos))
    assert drafted.code == 0, drafted.err
    config = tmp_path / "photos.yaml"
    config.write_text(drafted.out)
    done = slipway("run", str(config), "--set", "train.epochs=3")
    package = published(done)
    assert "1 of 81 pictures can't be decoded and were set aside" in done.out
    assert "can't be decoded" in (package / "card.md").read_text()
    (tensor,) = json.loads((package / "model.json").read_text())["signature"]["inputs"]
    height, width, _ = tensor["shape"]
    asked = [
        [{"name": "image", "datatype": "UINT8", "shape": [1, *tensor["shape"]], "data": colour * height * width}]
        for colour in ([200, 40, 40], [40, 40, 200])
    ]
    assert [found["label"] for found in answers(package, *asked)] == [["warm"], ["cold"]]


def test_a_folder_of_the_object_store_is_read_and_pushed_data_is_named(slipway, photos, bucket, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    from components.store import open_store

    store = open_store(f"{bucket}/raw")
    for path in sorted(photos.rglob("*.*")):
        store.put(path.relative_to(photos).as_posix(), path)
    few = ("--set", "data.size=32", "--set", "data.set_aside=0.1", "--set", "train.model=simple_cnn", *FEW)
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    own["SLIPWAY_STORE"] = (tmp_path / "store").as_uri()
    drafted = slipway("new", f"{bucket}/raw/", **own)
    assert yaml.safe_load(drafted.out)["data"]["source"] == f"{bucket}/raw/"
    assert list((drafted.home / "cache").rglob("broken.jpg")), "the run would fetch it all again"
    run = ("run", "configs/cats-dogs.yaml", "--set")
    from_store = slipway(*run, f"data.source={bucket}/raw/", *few, **own)
    digest = published(from_store).name
    assert slipway("data", "push", str(photos), "pets", **own).code == 0
    # The same pictures from another place are the same data, and so the same model.
    assert published(slipway(*run, "data.source=data://pets", *few, **own)).name == digest


def idx(values: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return gzip.compress(header + values.astype(np.uint8).tobytes())


def test_idx_files_run_by_the_configuration_of_mnist(slipway, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    random = np.random.default_rng(0)
    for part, rows in (("train", 120), ("t10k", 30)):
        y = np.arange(rows) % 2
        x = random.integers(0, 100, (rows, 12, 12)) + 100 * y[:, None, None]
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(x))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(y))
    done = slipway("run", "configs/mnist.yaml", "--set", f"data.source={tmp_path}", *FEW)
    published(done)
    assert "30 test" in done.out


def test_iris_runs_as_the_readme_says(slipway):
    package = published(slipway("run", "configs/iris.yaml"))
    asked = [{"name": "numbers", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]
    (found,) = answers(package, asked)
    assert found["label"] == ["setosa"]


def test_a_sweep_trains_its_trials_side_by_side_and_publishes_the_best(slipway, tmp_path):
    config = tmp_path / "sweep.yaml"
    config.write_text(
        "name: swept\ndata: {source: 'builtin://iris'}\ntrain: {model: random_forest}\ngate: {minimum: 0}\n"
        "sweep: {settings: {trees: [1, 20], max_depth: [1, 4]}}\n"
    )
    done = slipway("run", str(config))
    package = published(done)
    assert len(re.findall(r"^attempt   done", done.out, re.MULTILINE)) == 4
    chosen = re.search(r"chose trial (\d) of 4", done.out)
    assert chosen
    parameters = json.loads((package / "model.json").read_text())["lineage"]["parameters"]
    assert "sweep" not in parameters
    tried = re.search(rf"trial {chosen[1]}/4: (.*=.*)", done.out)[1].split(", ")
    assert set(tried) == {f"{name}={parameters['train'][name]}" for name in ("trees", "max_depth")}
    run = next((done.home / "runs").glob("*-swept"))
    assert "Trials" in (run / "report.html").read_text()
    steps = [step["name"] for step in json.loads((run / "run.json").read_text())["steps"]]
    assert steps == ["prepare", *["attempt"] * 4, "choose", "assess", "publish"]
