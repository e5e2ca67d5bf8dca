"""Where results go: the only reader of the environment on the training side.

On a laptop the runner sets these variables, on a cluster a ConfigMap and a Secret do; none is in the compiled pipeline.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from components.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class S3:
    """How to reach an S3 server.

    Attributes:
        endpoint: URL of the server, ``http://host:port`` or ``https://host``.
        access_key: Name of the credential.
        secret_key: The credential; never printed.
        region: Region, for the signature.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables that every S3 client knows.

        Raises:
            ConfigError: A variable is not set.
        """
        return cls(
            endpoint=_need(environment, "AWS_ENDPOINT_URL", "the URL of the S3 server, like http://127.0.0.1:9000"),
            access_key=_need(environment, "AWS_ACCESS_KEY_ID", "the access key of the S3 server"),
            secret_key=_need(environment, "AWS_SECRET_ACCESS_KEY", "the secret key of the S3 server"),
            region=environment.get("AWS_DEFAULT_REGION") or environment.get("AWS_REGION") or "us-east-1",
        )


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where packages and runs are recorded.

    Attributes:
        store: ``s3://bucket/prefix`` or ``file:///path``: packages are published below it.
        tracking: An MLflow tracking URI, or none where there is no MLflow.
        adopt: Id of an MLflow run that the orchestrator opened for this step.
        profile: What these places are called on the user's machine, if they have a name.
        signing_key: The file of the private key that signs what is published, if anything does.
    """

    store: str
    tracking: str | None
    adopt: str | None = None
    profile: str | None = None
    signing_key: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read ``SLIPWAY_STORE``, ``MLFLOW_TRACKING_URI`` (``none`` where there is no MLflow) and what is optional.

        Optional are ``MLFLOW_RUN_ID``, ``SLIPWAY_PROFILE`` and ``SLIPWAY_SIGNING_KEY``.

        Raises:
            ConfigError: A variable is not set.
        """
        store = _need(environment, "SLIPWAY_STORE", "where packages go, like s3://models")
        tracking = _need(environment, "MLFLOW_TRACKING_URI", "where runs go, like http://mlflow:5000, or none")
        adopt = environment.get("MLFLOW_RUN_ID") or None
        profile = environment.get("SLIPWAY_PROFILE") or None
        key = environment.get("SLIPWAY_SIGNING_KEY")
        destination = cls(
            store=store,
            tracking=None if tracking == "none" else tracking,
            adopt=adopt,
            profile=profile,
            signing_key=Path(key) if key else None,
        )
        if destination.store.startswith("s3://"):
            S3.from_environment(environment)
        return destination


def run_name(platform_id: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the name that a run is recorded under: ``SLIPWAY_RUN`` where a runner set it, else the platform's id."""
    return environment.get("SLIPWAY_RUN") or platform_id


def cache_folder(default: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where downloads are kept: ``SLIPWAY_CACHE``, which a runner sets where a folder outlives a step."""
    return Path(environment.get("SLIPWAY_CACHE") or default / "cache")


def checkpoints(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return where training keeps what it goes on from, ``SLIPWAY_CHECKPOINTS``: the URI of a store, or nothing."""
    return environment.get("SLIPWAY_CHECKPOINTS", "").strip().rstrip("/") or None


def run_checkpoints(name: str, key: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the folder of checkpoints that one training has for itself.

    Args:
        name: The model's.
        key: Of the training.
        environment: Names the store.
    """
    place = checkpoints(environment)
    return f"{place}/{name}/{key}" if place else None


def _need(environment: Mapping[str, str], name: str, meaning: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigError(
            f"{name} is not set: {meaning}; export it, or on a cluster put it into ConfigMap or Secret 'slipway'"
        )
    return value
