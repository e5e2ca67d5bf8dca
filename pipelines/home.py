"""Slipway's folder on this machine: runs, the store and MLflow's files, unless the environment names other places."""

import os
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path


class Home:
    """The folder ``.slipway`` in the working directory, or ``SLIPWAY_HOME``.

    Args:
        environment: Variables of the process.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.path = Path(environment.get("SLIPWAY_HOME") or ".slipway").absolute()
        self._environment = environment

    def destinations(self) -> dict[str, str]:
        """Return where a run publishes and keeps downloads: what is already set wins, else folders here."""
        own = {
            "SLIPWAY_STORE": (self.path / "store").as_uri(),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.path / 'mlflow.db'}",
            "SLIPWAY_CACHE": str(self.path / "cache"),
        }
        return {name: self._environment.get(name) or value for name, value in own.items()}

    def quiet(self) -> dict[str, str]:
        """Return what keeps libraries from reporting about their use, and gRPC from commenting our errors."""
        silenced = {"ORT_DISABLE_TELEMETRY": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "GRPC_VERBOSITY": "NONE"}
        return {name: self._environment.get(name) or value for name, value in silenced.items()}

    def new_run(self, name: str) -> Path:
        """Make a directory for a run, its own even if another run starts in the same second; its name sorts by time."""
        stem = time.strftime("%Y%m%d-%H%M%S") + f"-{name}"
        for number in count(1):
            directory = self.path / "runs" / (stem if number == 1 else f"{stem}-{number}")
            try:
                directory.mkdir(parents=True)
            except FileExistsError:
                if not directory.is_dir():  # a file stands where the folders should be
                    raise
            else:
                return directory
        raise AssertionError("numbers do not end")
