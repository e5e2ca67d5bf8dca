"""What MLflow is told, read back from MLflow."""

import pytest
from mlflow import MlflowClient

from components.tracking import Tracking


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def tracking(uri) -> Tracking:
    connection = Tracking(uri)
    connection.initialise()
    return connection


def record(tracking, files, run="run-1", **changes):
    content = {
        "parameters": {"train.trees": 3},
        "metrics": {"accuracy": 0.9},
        "history": [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}],
        "tags": {"gate": "passed"},
        "files": files,
    }
    return tracking.record("tests", run, **(content | changes))


def test_a_run_is_written_once_however_often_its_step_is_repeated(tracking, uri, tmp_path):
    (tmp_path / "report.html").write_text("report")
    one, two = (record(tracking, tmp_path) for _ in range(2))
    assert one == two
    client = MlflowClient(tracking_uri=uri)
    run = client.get_run(one.run_id)
    assert (run.data.params, run.data.metrics["accuracy"]) == ({"train.trees": "3"}, 0.9)
    assert [(point.step, point.value) for point in client.get_metric_history(one.run_id, "epoch_loss")][:2] == [
        (1, 0.5),
        (2, 0.25),
    ]
    assert run.info.status == "FINISHED"


def test_artifacts_lie_beside_the_database(tracking, uri, tmp_path):
    (tmp_path / "report.html").write_text("report")
    recorded = record(tracking, tmp_path, "run-2")
    run = MlflowClient(tracking_uri=uri).get_run(recorded.run_id)
    database = uri.removeprefix("sqlite:///")
    assert run.info.artifact_uri.startswith(f"file://{database.removesuffix('/mlflow.db')}/mlartifacts/tests/")


def test_a_digest_has_one_version_and_another_digest_another(tracking, uri, tmp_path):
    run_id = record(tracking, tmp_path, "run-3").run_id
    register = {"uri": "s3://models/tiny/sha256-1/", "run_id": run_id, "tags": {}}
    versions = [tracking.register("tiny", digest=digest, **register) for digest in ("1", "1", "2")]
    assert versions == ["1", "1", "2"]
    assert tracking.register("tiny", **(register | {"digest": "1", "uri": "s3://elsewhere/"})) == "3"
    tracking.promote("tiny", "2")
    assert MlflowClient(tracking_uri=uri).get_registered_model("tiny").aliases == {"challenger": 2, "champion": 2}
