"""Slipway's folder on this machine: runs, the store and MLflow's files, unless the environment names other places."""

import os
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from pipelines.errors import RunError


class Home:
    """The folder ``.slipway`` in the working directory, or ``SLIPWAY_HOME``.

    Args:
        environment: Variables of the process.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.path = Path(environment.get("SLIPWAY_HOME") or ".slipway").absolute()
        self._environment = environment

    def destinations(self) -> dict[str, str]:
        """Return where a run publishes and keeps what it needs again: what is already set wins, else folders here."""
        own = {
            "SLIPWAY_STORE": (self.path / "store").as_uri(),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.path / 'mlflow.db'}",
            "SLIPWAY_CACHE": str(self.path / "cache"),
            "SLIPWAY_CHECKPOINTS": (self.path / "checkpoints").as_uri(),
        }
        return {name: self._environment.get(name) or value for name, value in own.items()}

    def profile(self, name: str) -> dict[str, str]:
        """Return the variables of a profile, a file of lines ``NAME=value`` in ``profiles/``.

        Raises:
            RunError: There is no such profile, or a line is none.
        """
        path = self.path / "profiles" / f"{name}.env"
        if not path.is_file():
            raise RunError(f"no profile {name}: {path} does not exist; make services writes the one named services")
        found = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            key, separator, value = line.partition("=")
            if line.strip() and not line.startswith("#"):
                if not separator or not key.isidentifier():
                    raise RunError(f"{path}, line {number}, must look like NAME=value")
                found[key] = value
        return found

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
