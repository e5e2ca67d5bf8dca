"""The typed content of ``model.json``."""

import hashlib
import json
import reprlib
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from modelpackage.digest import canonical_json
from modelpackage.errors import DescriptorError, FormatError, fault
from modelpackage.format import PARTS, READABLE
from modelpackage.signature import Frozen, Signature

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class File(Frozen):
    """A file of the package: SHA-256 of its bytes and its size in bytes."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class Lineage(Frozen):
    """Where the model came from; everything that decides its bytes, and nothing that differs between equal runs.

    Attributes:
        data: Digest of the raw data snapshot.
        code: Digest of the sources of the steps that made it.
        software: Versions of the libraries that shape the result.
        parameters: The validated configuration of the run.
    """

    data: Sha256
    code: Sha256
    software: dict[str, str]
    parameters: dict[str, JsonValue]


class Descriptor(Frozen):
    """The content of ``model.json``.

    Attributes:
        format: The format number.
        name: Name of the model, a DNS label.
        task: What the outputs mean.
        kind: What the inputs are.
        signature: Tensors in and out.
        labels: The class of each column of the probabilities.
        preprocessing: The transformation that the graph starts with, for the record: readers need not apply it.
        tolerance: Largest absolute difference from a golden output at which a model counts as reproduced.
        metrics: What evaluation measured on held-out rows.
        lineage: Where the model came from.
        files: Every other file of the package but the seal.
    """

    format: Literal[1, 2]
    name: ModelName
    task: Literal["classification"]
    kind: Literal["tabular", "image"]
    signature: Signature
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    preprocessing: dict[str, JsonValue]
    tolerance: Annotated[float, Field(ge=0, le=0.1)]
    metrics: dict[str, float]
    lineage: Lineage
    files: dict[str, File]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if set(self.files) != set(PARTS):
            raise ValueError(f"files must be exactly {', '.join(PARTS)}, got {', '.join(sorted(self.files))}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be different from each other")
        width = self.signature.outputs[0].shape
        if width != (len(self.labels),):
            raise ValueError(f"{len(self.labels)} labels do not name the outputs of shape {list(width)}")
        if self.format == 1 and any(tensor.missing or tensor.datatype == "BYTES" for tensor in self.signature.inputs):
            raise ValueError("format 1 knows neither text nor missing values")
        return self

    def render(self) -> bytes:
        """Return the bytes of ``model.json``."""
        return canonical_json(self.model_dump(mode="json", exclude_none=True))

    @cached_property
    def digest(self) -> str:
        """The identity of the package: SHA-256 of ``model.json``, 64 hexadecimal digits."""
        return hashlib.sha256(self.render()).hexdigest()

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the bytes of a ``model.json``.

        Raises:
            FormatError: The format number is unknown.
            DescriptorError: Not JSON, a field breaks the format, or not the canonical rendering.
        """
        content = _json_object(raw)
        if type(content.get("format")) is not int or content["format"] not in READABLE:
            found, known = reprlib.repr(content.get("format")), " and ".join(map(str, READABLE))
            raise FormatError(f"model.json has format {found}, this reader knows {known}; use one of that format")
        try:
            descriptor = cls.model_validate_json(raw)
            canonical = descriptor.render()
        except ValidationError as error:
            raise DescriptorError(f"model.json: {fault(error)}") from None
        except ValueError as error:  # NaN in free-form JSON, which only the rendering refuses
            raise DescriptorError(f"model.json: {error}") from None
        if canonical != raw:
            raise DescriptorError("model.json is not in its canonical rendering; seal the package again")
        return descriptor


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        raise DescriptorError("model.json is not JSON") from None
    if not isinstance(content, dict):
        raise DescriptorError("model.json is not a JSON object")
    return content
