"""MLflow: the run with its figures, the registered version, and the aliases; a repeat changes nothing."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

# MLflow's own defaults keep a caller waiting for four minutes when the server is down; these give up within one.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from components.errors import TrackingError

T = TypeVar("T")

RUN_TAG = "slipway.run"
DIGEST_TAG = "slipway.digest"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A run in MLflow.

    Attributes:
        run_id: MLflow's id of the run.
        url: Where a person can look at it.
    """

    run_id: str
    url: str


class Tracking:
    """A connection to MLflow.

    Args:
        uri: A server's URL, or ``sqlite:///path`` on a laptop.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def initialise(self) -> None:
        """Make the first contact, which creates the tables of an empty sqlite file.

        Raises:
            TrackingError: MLflow can't be reached.
        """
        self._guarded(lambda: self._client.search_experiments(max_results=1))

    def record(
        self,
        experiment: str,
        run: str,
        *,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        history: list[dict[str, float]],
        tags: Mapping[str, str],
        files: Path,
    ) -> Recorded:
        """Write a run, or write the same run again after a step that was repeated.

        Args:
            experiment: Its name; created on first use.
            run: The pipeline run; there is one MLflow run for each.
            parameters: Flat settings.
            metrics: Final figures.
            history: One entry per epoch, each with ``epoch``.
            tags: Whatever a search should find.
            files: A folder whose content becomes the run's artifacts.

        Raises:
            TrackingError: MLflow refused or can't be reached.
        """
        return self._guarded(lambda: self._record(experiment, run, parameters, metrics, history, tags, files))

    def _record(
        self,
        experiment: str,
        run: str,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        history: list[dict[str, float]],
        tags: Mapping[str, str],
        files: Path,
    ) -> Recorded:
        experiment_id = self._experiment(experiment)
        found = self._client.search_runs([experiment_id], f"tags.`{RUN_TAG}` = '{run}'", max_results=1)
        entity = found[0] if found else self._client.create_run(
            experiment_id, run_name=run, tags={RUN_TAG: run}
        )  # fmt: skip
        run_id = entity.info.run_id
        now = entity.info.start_time
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
            params=[Param(name, str(value)) for name, value in parameters.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        for entry in history:
            step = int(entry["epoch"])
            series = [Metric(f"epoch_{name}", value, now, step) for name, value in entry.items() if name != "epoch"]
            self._client.log_batch(run_id, metrics=series)
        self._client.log_artifacts(run_id, str(files))
        self._client.set_terminated(run_id)
        return Recorded(run_id=run_id, url=self._url(experiment_id, run_id))

    def register(self, name: str, *, digest: str, uri: str, run_id: str, tags: Mapping[str, str]) -> str:
        """Return the version of the registered model for this digest at this place; create it on first sight.

        Args:
            name: The registered model; created on first use.
            digest: The package's identity.
            uri: Where the package is: a place that KServe can read.
            run_id: MLflow's id of the run that made it.
            tags: Tags of the version.

        Raises:
            TrackingError: MLflow refused or can't be reached.
        """
        return self._guarded(lambda: self._register(name, digest, uri, run_id, tags))

    def _register(self, name: str, digest: str, uri: str, run_id: str, tags: Mapping[str, str]) -> str:
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        for version in self._client.search_model_versions(f"name = '{name}'"):
            if version.tags.get(DIGEST_TAG) == digest and version.source == uri:
                return str(version.version)
        created = self._client.create_model_version(
            name, source=uri, run_id=run_id, tags={DIGEST_TAG: digest, **tags}, await_creation_for=None
        )
        return str(created.version)

    def promote(self, name: str, version: str) -> None:
        """Move the aliases ``challenger`` and then ``champion`` to a version that passed the gate.

        Raises:
            TrackingError: MLflow refused or can't be reached.
        """
        for alias in ("challenger", "champion"):
            self._guarded(partial(self._client.set_registered_model_alias, name, alias, version))

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name, artifact_location=self._artifacts(name)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(self._client.get_experiment_by_name(name).experiment_id)

    def _artifacts(self, experiment: str) -> str | None:
        """Return the place of artifacts: beside a sqlite file, and a server's own choice otherwise."""
        if not self.uri.startswith("sqlite:///"):
            return None
        database = Path(self.uri.removeprefix("sqlite:///")).absolute()
        return (database.parent / "mlartifacts" / experiment).as_uri()

    def _url(self, experiment_id: str, run_id: str) -> str:
        base = self.uri.rstrip("/") if urlsplit(self.uri).scheme in ("http", "https") else self.uri
        return f"{base}/#/experiments/{experiment_id}/runs/{run_id}" if base.startswith("http") else base

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except MlflowException as error:
            first = str(error).strip().splitlines()[0].split(": HTTPConnection")[0].partition(" with exception")[0]
            raise TrackingError(
                f"MLflow at {self.uri}: {first}; check MLFLOW_TRACKING_URI and that the server runs"
            ) from None
