"""The settings of the predictor, each from a flag, else from the environment, else a default made for a container.

The only reader of environment variables in ``serving``. Refuses unknown flags and values out of range before anything
loads.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelpackage.descriptor import ModelName, Sha256
from serving.errors import SettingsError

PREFIX = "SLIPWAY_"
Port = Annotated[int, Field(ge=0, le=65535)]
#: Every interface: inside a container the Pod's network decides who reaches it.
EVERYWHERE = "0.0.0.0"  # noqa: S104  # see above; on a laptop `--host 127.0.0.1`


class Settings(BaseModel):
    """Everything that can be set; ``docs/predictor.md`` has the same table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: Path = Field(Path("/mnt/models"), description="directory of the model package")
    digest: Sha256 | None = Field(None, description="identity that the package must have, 64 hexadecimal digits")
    name: ModelName | None = Field(None, description="name of the model in URLs, the package's own without")
    host: str = Field(EVERYWHERE, description="address to listen on")
    http_port: Port = Field(8080, description="port of v2 REST, 0 picks a free one")
    grpc_port: Port = Field(8081, description="port of v2 gRPC, 0 picks a free one")
    threads: int = Field(0, ge=0, le=1024, description="threads of one inference, 0 takes the CPU limit")
    max_body_bytes: int = Field(16 << 20, ge=1, le=1 << 30, description="largest request that is read, in bytes")
    max_rows: int = Field(1024, ge=1, le=1 << 20, description="most rows of one request")
    grace_seconds: int = Field(20, ge=0, le=3600, description="time that running requests have after SIGTERM")

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


def flag(name: str) -> str:
    """Return the command line's name of a setting."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """Return the environment's name of a setting."""
    return PREFIX + name.upper()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__, allow_abbrev=False)
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f", default {field.default}"
        parser.add_argument(flag(name), help=f"{field.description} [{variable(name)}{default}]")
    return parser
