"""A run as people look at it in MLflow: settings, figures, curves, the data, the signature, the trials of a sweep.

Everything comes from the record that the store keeps, so a run can be written later, and twice without a change.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from components.record import Record
from components.tracking import Tracking, pages
from modelpackage import Signature, Tensor

RUN_TAG, ENTERED_TAG, PARENT_TAG = "slipway.run", "slipway.entered", "mlflow.parentRunId"
#: What one call may carry.
MOST_METRICS, MOST_PARAMETERS, MOST_TEXT = 1000, 100, 500

#: What MLflow calls it. Several GPUs have a mean and a sum, so they don't get the number of one.
SYSTEM = {
    "cpu_percent": "cpu_utilization_percentage",
    "memory_mb": "system_memory_usage_megabytes",
    "gpu_percent": "{gpu}_utilization_percentage",
    "gpu_memory_mb": "{gpu}_memory_usage_megabytes",
}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A run in MLflow.

    Attributes:
        run_id: MLflow's id of the run.
        url: Where a person can look at it.
    """

    run_id: str
    url: str


def write_run(tracking: Tracking, record: Record, *, adopt: str | None = None) -> Recorded:
    """Write a run, or write the same run again after a step that was repeated.

    Args:
        tracking: The connection.
        record: What there is to tell.
        adopt: Id of a run that the orchestrator opened already, and will end.

    Raises:
        TrackingError: MLflow refused or can't be reached in time.
    """
    return tracking.call(lambda: _Writer(tracking, record).write(adopt))


def mark_entered(tracking: Tracking, record: Record, run_id: str) -> None:
    """Note in MLflow that all of a record is there: the run, and the version where there is one."""
    tracking.call(lambda: tracking.client.set_tag(run_id, ENTERED_TAG, record.note.name))


def entered(tracking: Tracking) -> set[tuple[str, str]]:
    """Return (model name, run) of every record that is in MLflow as a whole.

    Raises:
        TrackingError: MLflow refused or can't be reached.
    """
    return tracking.call(lambda: _entered(tracking.client))


def _entered(client: MlflowClient) -> set[tuple[str, str]]:
    experiments = [found.experiment_id for found in pages(client.search_experiments)]
    # Every filter that MLflow has for tags names a value; the pattern takes any.
    search = partial(client.search_runs, experiments, f"tags.`{ENTERED_TAG}` LIKE '%'")
    return {(run.data.tags[ENTERED_TAG], run.data.tags.get(RUN_TAG, "")) for run in pages(search)}


class _Writer:
    """The calls that write one record."""

    def __init__(self, tracking: Tracking, record: Record) -> None:
        self.client, self.uri, self.record = tracking.client, tracking.uri, record

    def write(self, adopt: str | None) -> Recorded:
        record = self.record
        if adopt:
            run = self.client.get_run(adopt)
            self.client.set_tag(adopt, RUN_TAG, record.note.run)
        else:
            run = self._run(self._experiment(record.note.name), record.note.run, {})
        run_id, start = run.info.run_id, run.info.start_time
        self._log(run_id, record.note.parameters, list(_metrics(record, start)), record.note.tags())
        if record.note.data is not None:
            self.client.log_inputs(run_id, datasets=[_dataset(record, record.note.data)])
        self.client.log_artifacts(run_id, str(record.folder))
        if record.note.signature is not None:
            self._describe(run, record.note.signature)
        for number, trial in enumerate(record.trials, start=1):
            self._trial(run, number, trial)
        if not adopt:
            self.client.set_terminated(run_id, "FINISHED" if record.note.gate == "passed" else "FAILED")
        return Recorded(run_id=run_id, url=self._url(run.info.experiment_id, run_id))

    def _run(self, experiment: str, name: str, tags: Mapping[str, str]) -> Run:
        found = self.client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{name}'", max_results=1)
        return found[0] if found else self.client.create_run(experiment, run_name=name, tags={RUN_TAG: name, **tags})

    def _log(
        self, run_id: str, parameters: Mapping[str, str], metrics: Sequence[Metric], tags: Mapping[str, str]
    ) -> None:
        params = [Param(name, value[:MOST_TEXT]) for name, value in parameters.items()]
        self.client.log_batch(run_id, params=params[:MOST_PARAMETERS], tags=[RunTag(*tag) for tag in tags.items()])
        for first in range(0, len(metrics), MOST_METRICS):
            self.client.log_batch(run_id, metrics=metrics[first : first + MOST_METRICS])

    def _trial(self, parent: Run, number: int, trial: Mapping[str, Any]) -> None:
        name = f"{self.record.note.run}/trial-{number}"
        run = self._run(parent.info.experiment_id, name, {PARENT_TAG: parent.info.run_id})
        start = run.info.start_time
        metrics = [Metric(f"validation_{key}", value, start, 0) for key, value in trial["validation"].items()]
        chosen = {"chosen": str(trial["chosen"]).lower()}
        self._log(run.info.run_id, trial["settings"], metrics, chosen)
        self.client.set_terminated(run.info.run_id)

    def _describe(self, run: Run, signature: Mapping[str, Any]) -> None:
        """Log the model's signature and where its package is; the package itself stays in the store."""
        note = self.record.note
        found = self.client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
        if found:
            return
        model = Model(signature=_signature(signature))
        model.add_flavor("slipway", package=note.uri, digest=note.package)
        logged = self.client.create_logged_model(
            run.info.experiment_id, name=note.name, source_run_id=run.info.run_id, model_type="slipway"
        )
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "MLmodel")
            self.client.log_model_artifacts(logged.model_id, folder)
        self.client.finalize_logged_model(logged.model_id, "READY")

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self.client.create_experiment(name, artifact_location=self._artifacts(name)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(self.client.get_experiment_by_name(name).experiment_id)

    def _artifacts(self, experiment: str) -> str | None:
        """Return the place of artifacts: beside a sqlite file, and a server's own choice otherwise."""
        if not self.uri.startswith("sqlite:///"):
            return None
        database = Path(self.uri.removeprefix("sqlite:///")).absolute()
        return (database.parent / "mlartifacts" / experiment).as_uri()

    def _url(self, experiment_id: str, run_id: str) -> str:
        base = self.uri.rstrip("/") if urlsplit(self.uri).scheme in ("http", "https") else self.uri
        return f"{base}/#/experiments/{experiment_id}/runs/{run_id}" if base.startswith("http") else base


def _metrics(record: Record, start: int) -> Iterator[Metric]:
    """Yield the final figures, what training took of time and money, and every curve."""
    took, price = record.took, record.cost
    costs = {"training_seconds": took and took.seconds, "training_cost": price and price.amount}
    for name, value in (record.note.metrics | costs).items():
        if value is not None:
            yield Metric(name, value, start, 0)
    for entry in record.history:
        for name in entry.keys() - {"epoch"}:
            yield Metric(f"epoch_{name}", entry[name], start, int(entry["epoch"]))
    yield from _samples(record, start)


def _samples(record: Record, start: int) -> Iterator[Metric]:
    """Yield the pace of the training loop, by step, and what it took of the machine."""
    for sample in record.pace:
        for name in sample.keys() - {"step", "seconds"}:
            yield Metric(f"train/{name}", sample[name], _moment(start, sample), int(sample["step"]))
    gpu = "gpu" if record.took and record.took.gpus > 1 else "gpu_0"
    for number, sample in enumerate(record.usage):
        for name in sample.keys() & SYSTEM.keys():
            yield Metric(f"system/{SYSTEM[name].format(gpu=gpu)}", sample[name], _moment(start, sample), number)


def _moment(start: int, sample: Mapping[str, float]) -> int:
    return start + int(1000 * sample["seconds"])


def _dataset(record: Record, digest: str) -> DatasetInput:
    note = record.note
    dataset = Dataset(
        name=note.name,
        digest=digest[:36],  # as much as MLflow keeps; the tag has it whole
        source_type="slipway",
        source=json.dumps({"uri": note.parameters.get("data.source", ""), "sha256": digest}),
        profile=json.dumps(note.rows),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _signature(signature: Mapping[str, Any]) -> ModelSignature:
    known = Signature.model_validate_json(json.dumps(signature))
    return ModelSignature(inputs=_schema(known.inputs), outputs=_schema(known.outputs))


def _schema(tensors: Sequence[Tensor]) -> Schema:
    return Schema([TensorSpec(_dtype(tensor), (-1, *tensor.shape), tensor.name) for tensor in tensors])


def _dtype(tensor: Tensor) -> np.dtype[Any]:
    """Return the type as MLflow knows it, where text is str."""
    return np.dtype(str) if tensor.datatype == "BYTES" else tensor.dtype
