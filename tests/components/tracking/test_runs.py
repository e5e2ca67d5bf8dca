"""What MLflow is told of a run, read back from MLflow."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.record import Note, Record
from components.tracking import Tracking
from components.tracking.runs import entered, mark_entered, write_run

SIGNATURE = {
    "inputs": [
        {"name": "numbers", "datatype": "FP32", "shape": [2], "fields": ["a", "b"]},
        {"name": "categories", "datatype": "BYTES", "shape": [1], "fields": ["c"]},
    ],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [3]}],
}
NOTE = {
    "run": "run-1", "name": "tests", "gate": "passed", "reason": "it reaches", "comparison": None, "host": "here",
    "finished": "2026-01-01T00:00:00+00:00", "image": "", "parameters": {"train.trees": "3", "data.source": "s3://raw"},
    "metrics": {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95}, "package": "1" * 64, "data": "2" * 64,
    "uri": "s3://models/tests/sha256-1/", "code": "3" * 64, "signature": SIGNATURE, "rows": {"test": 50},
}  # fmt: skip


@pytest.fixture
def tracking(mlflow_uri) -> Tracking:
    return Tracking(mlflow_uri)


@pytest.fixture
def client(tracking) -> MlflowClient:
    return tracking.client


def a_record(place: Path, **changes: object) -> Record:
    folder = place / "record"
    folder.mkdir(exist_ok=True)
    files = {
        "run.json": Note.model_validate(NOTE | changes).model_dump(mode="json"),
        "training.json": {"history": [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]},
        "usage.json": [{"seconds": 0.0, "cpu_percent": 0.0, "memory_mb": 100.0}],
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "report.html").write_text("report")
    return Record(folder)


def test_a_run_is_written_once_however_often_its_step_is_repeated(tracking, client, tmp_path):
    one, two = (write_run(tracking, a_record(tmp_path)) for _ in range(2))
    assert one == two
    run = client.get_run(one.run_id)
    assert (run.data.params["train.trees"], run.data.metrics["accuracy"]) == ("3", 0.9)
    points = client.get_metric_history(one.run_id, "epoch_loss")
    assert {(point.step, point.value) for point in points} == {(1, 0.5), (2, 0.25)}
    assert run.data.metrics["system/system_memory_usage_megabytes"] == 100
    assert (run.info.status, run.data.tags["digest"], run.data.tags["gate"]) == ("FINISHED", "1" * 64, "passed")
    assert {item.path for item in client.list_artifacts(one.run_id)} >= {"report.html", "run.json"}


def test_the_data_and_the_signature_are_where_mlflow_shows_them(tracking, client, tmp_path):
    recorded = write_run(tracking, a_record(tmp_path, run="run-2"))
    run = client.get_run(recorded.run_id)
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.digest, json.loads(data.dataset.source)["uri"]) == ("2" * 36, "s3://raw")
    write_run(tracking, a_record(tmp_path, run="run-2"))
    experiment = run.info.experiment_id
    (model,) = client.search_logged_models([experiment], f"source_run_id = '{recorded.run_id}'")
    files = [item.path for item in client.list_logged_model_artifacts(model.model_id)]
    assert files == ["MLmodel"], "the package itself stays in the store"
    text = (Path(model.artifact_location.removeprefix("file://")) / "MLmodel").read_text()
    assert '"name": "categories"' in text
    assert "pickle" not in text


def test_pace_machine_time_and_cost_are_series_and_figures_of_the_run(tracking, client, tmp_path):
    record = a_record(tmp_path, run="run-8", parameters={"prices.gpu": "2.0", "prices.currency": "USD"})
    took = {"seconds": 1800.0, "device": "H", "gpus": 1, "processes": 1, "cores": 8.0, "memory_gb": 2.0}
    point = {"rows_per_second": 900.0, "step_seconds": 0.1, "gradient_norm": 1.5}
    pace = [point | {"step": 20 * n, "seconds": 2.0 * n, "loss": 1 / n} for n in range(1, 301)]
    machine = {"cpu_percent": 50.0, "memory_mb": 100.0, "gpu_percent": 75.0, "gpu_memory_mb": 3000.0}
    usage = [machine | {"seconds": 6.0 * n} for n in range(100)]
    for name, content in {"took": took, "pace": pace, "usage": usage}.items():
        (tmp_path / "record" / f"{name}.json").write_text(json.dumps(content))
    recorded, _ = (write_run(tracking, record) for _ in range(2))
    run = client.get_run(recorded.run_id)
    assert (run.data.metrics["training_seconds"], run.data.metrics["training_cost"]) == (1800.0, 1.0)
    loss = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in loss[:2]] == [(20, 1.0), (40, 0.5)]
    assert (len(loss), loss[1].timestamp - run.info.start_time) == (300, 4000)
    assert {name for name in run.data.metrics if "/" in name} == {
        "train/loss", "train/gradient_norm", "train/rows_per_second", "train/step_seconds",
        "system/cpu_utilization_percentage", "system/system_memory_usage_megabytes",
        "system/gpu_0_utilization_percentage", "system/gpu_0_memory_usage_megabytes",
    }  # fmt: skip


def test_the_mean_of_several_gpus_is_not_told_as_that_of_one(tracking, client, tmp_path):
    record = a_record(tmp_path, run="run-9")
    took = {"seconds": 1.0, "device": "H", "gpus": 8, "processes": 8, "cores": 8.0, "memory_gb": 2.0}
    (tmp_path / "record" / "took.json").write_text(json.dumps(took))
    usage = [{"seconds": 0.0, "cpu_percent": 1.0, "memory_mb": 1.0, "gpu_percent": 75.0, "gpu_memory_mb": 8000.0}]
    (tmp_path / "record" / "usage.json").write_text(json.dumps(usage))
    metrics = client.get_run(write_run(tracking, record).run_id).data.metrics
    assert metrics["system/gpu_utilization_percentage"] == 75.0
    assert not [name for name in metrics if "gpu_0" in name or name == "training_cost"]


def test_a_refused_run_is_a_failed_one(tracking, client, tmp_path):
    refused = {"gate": "refused", "package": None, "uri": None, "data": None, "signature": None}
    recorded = write_run(tracking, a_record(tmp_path, run="run-3", **refused))
    assert client.get_run(recorded.run_id).info.status == "FAILED"


def test_the_trials_of_a_sweep_are_runs_below_it(tracking, client, tmp_path):
    trials = [
        {"settings": {"trees": "1"}, "validation": {"accuracy": 0.5, "log_loss": 1.0}, "chosen": False},
        {"settings": {"trees": "9"}, "validation": {"accuracy": 0.8, "log_loss": 0.4}, "chosen": True},
    ]
    record = a_record(tmp_path, run="run-4")
    (tmp_path / "record" / "trials.json").write_text(json.dumps(trials))
    recorded, _ = (write_run(tracking, record) for _ in range(2))
    experiment = client.get_run(recorded.run_id).info.experiment_id
    below = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{recorded.run_id}'")
    assert {(run.data.params["trees"], run.data.tags["chosen"]) for run in below} == {("1", "false"), ("9", "true")}
    assert {run.data.metrics["validation_accuracy"] for run in below} == {0.5, 0.8}


def test_a_run_that_the_orchestrator_opened_is_used_and_left_open(tracking, client, tmp_path):
    experiment = client.create_experiment("elsewhere", artifact_location=(tmp_path / "artifacts").as_uri())
    opened = client.create_run(experiment)
    record = a_record(tmp_path, run="run-5")
    assert write_run(tracking, record, adopt=opened.info.run_id).run_id == opened.info.run_id
    assert client.get_run(opened.info.run_id).info.status == "RUNNING"
    mark_entered(tracking, record, opened.info.run_id)
    assert ("tests", "run-5") in entered(tracking)


def test_artifacts_lie_beside_the_database(tracking, client, mlflow_uri, tmp_path):
    run = client.get_run(write_run(tracking, a_record(tmp_path, run="run-6")).run_id)
    database = mlflow_uri.removeprefix("sqlite:///")
    assert run.info.artifact_uri.startswith(f"file://{database.removesuffix('/mlflow.db')}/mlartifacts/tests/")


def test_what_is_not_marked_has_not_been_entered(tracking, tmp_path):
    record = a_record(tmp_path, run="run-7")
    recorded = write_run(tracking, record)
    assert ("tests", "run-7") not in entered(tracking)
    mark_entered(tracking, record, recorded.run_id)
    assert ("tests", "run-7") in entered(tracking)
