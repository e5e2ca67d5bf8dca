"""The settings of the predictor, each from a flag, else from the environment, else a default made for a container.

The only reader of environment variables in ``serving``. Refuses unknown flags and values out of range before anything
loads.
"""

import argparse
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelpackage.descriptor import ModelName, Sha256
from serving.errors import SettingsError

PREFIX = "SLIPWAY_"
Port = Annotated[int, Field(ge=0, le=65535)]
#: Every interface: inside a container the Pod's network decides who reaches it.
EVERYWHERE = "0.0.0.0"  # noqa: S104  # see above; on a laptop `--host 127.0.0.1`
#: File descriptors that are no connections within the limit: those beyond it, which are refused, libraries, logs.
RESERVED_FILES = 256
#: What a request may have in bytes even where others fill the memory, so that a few large ones do not shut out all.
SMALL_BYTES = 64 << 10


class Limits(BaseModel):
    """Everything that a client can use up, and how much of it; what is beyond is refused with one sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_body_bytes: int = Field(16 << 20, ge=1, le=1 << 30, description="largest request that is read, in bytes")
    max_header_bytes: int = Field(16 << 10, ge=256, le=1 << 20, description="largest head of a request, in bytes")
    max_pending_bytes: int = Field(
        256 << 20, ge=1, le=1 << 40, description="bytes of all requests that are received or answered at one time"
    )
    max_nesting: int = Field(32, ge=4, le=512, description="deepest nesting of a JSON body")
    max_json_containers: int = Field(100_000, ge=16, le=1 << 24, description="most lists and objects of a JSON body")
    max_json_values: int = Field(1_200_000, ge=16, le=1 << 30, description="most values of a JSON body")
    max_elements: int = Field(1 << 24, ge=1, le=1 << 30, description="most values of one tensor")
    max_rows: int = Field(1024, ge=1, le=1 << 20, description="most rows of one request")
    max_pixels: int = Field(
        16_000_000, ge=1, le=1 << 28, description="most pixels of the encoded pictures of a request"
    )
    max_id_characters: int = Field(128, ge=1, le=1024, description="longest id of a request")
    max_connections: int = Field(
        1024, ge=1, le=65536, description="most connections at one time, of REST and of gRPC each"
    )
    max_queue: int = Field(256, ge=1, le=65536, description="most requests that are waiting or being answered")
    receive_seconds: float = Field(20, gt=0, le=3600, description="time in which a request must have arrived whole")
    predict_seconds: float = Field(30, gt=0, le=3600, description="time in which a request must be answered")


class Settings(Limits):
    """Everything that can be set; ``docs/predictor.md`` has the same table."""

    package: Path = Field(Path("/mnt/models"), description="directory of the model package")
    digest: Sha256 | None = Field(None, description="identity that the package must have, 64 hexadecimal digits")
    public_keys: Path | None = Field(
        None, description="public keys (PEM file or folder); one must have signed the package"
    )
    name: ModelName | None = Field(None, description="name of the model in URLs, the package's own without")
    host: str = Field(EVERYWHERE, description="address to listen on")
    http_port: Port = Field(8080, description="port of REST, 0 picks a free one")
    grpc_port: Port = Field(8081, description="port of gRPC, 0 picks a free one")
    threads: int = Field(0, ge=0, le=1024, description="threads of one inference, 0 takes the CPU limit")
    max_batch_rows: int = Field(
        32, ge=1, le=4096, description="most rows of several requests run together, 1 runs each alone"
    )
    batch_milliseconds: float = Field(10, gt=0, le=10_000, description="longest time that requests are run together")
    drain_seconds: float = Field(
        8,
        ge=0,
        le=600,
        description="time after SIGTERM in which new requests are still answered",
    )
    grace_seconds: float = Field(20, ge=0, le=3600, description="time that running requests have after that")
    page: bool = Field(default=False, description="serve a page to try the model at /")
    state: Path | None = Field(None, description="folder that keeps drift and live quality over a restart")
    prediction_log: str | None = Field(
        None, description="s3://bucket/prefix or file:///folder for a log of predictions"
    )
    prediction_sample: float = Field(0.01, gt=0, le=1, description="share of the requests that it keeps")
    log: Literal["all", "errors"] = Field("all", description="requests that get a log line")

    @classmethod
    def read(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> Self:
        """Read the settings; an empty environment variable counts as absent.

        Raises:
            SettingsError: A value is out of range or of another type.
        """
        found = {name: value for name in cls.model_fields if (value := environment.get(variable(name)))}
        flags = vars(_parser().parse_args(arguments))
        found |= {name: value for name, value in flags.items() if value is not None}
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            raise SettingsError(f"{flag(name)} (or {variable(name)}) is {first['input']!r}: {first['msg']}") from None

    def limits(self) -> dict[str, float]:
        """Return the limits by name."""
        return {name: getattr(self, name) for name in Limits.model_fields}

    def fitted(self) -> Self:
        """Allow this process as many files as the system does, and no more connections than that leaves room for.

        REST and gRPC may have as many each.
        """
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if most == resource.RLIM_INFINITY:
            return self
        return self.model_copy(
            update={"max_connections": min(self.max_connections, max(1, (most - RESERVED_FILES) // 2))}
        )


def flag(name: str) -> str:
    """Return the command line's name of a setting."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """Return the environment's name of a setting."""
    return PREFIX + name.upper()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description=__doc__,
        epilog="As first argument, --health asks a running server whether it is ready, and --self-test proves this "
        "installation; each ends with 0 or 1.",
        allow_abbrev=False,
    )
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f", default {field.default}"
        parser.add_argument(flag(name), help=f"{field.description} [{variable(name)}{default}]")
    return parser
