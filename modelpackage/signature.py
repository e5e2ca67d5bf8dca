"""What goes into a model and what comes out: names, datatypes and shapes of the KServe v2 protocol.

The datatypes are those of the Open Inference Protocol (https://github.com/kserve/open-inference-protocol).
"""

from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from modelpackage.errors import SignatureError

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64",
    "BYTES",
]  # fmt: skip
NUMPY_TYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
#: Datatypes in which a value can be missing: NaN in the first two, empty text in the last.
GAPPED = ("FP32", "FP64", "BYTES")
MAX_TEXT_CHARACTERS = 1024
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")]
Dimension = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Frozen(BaseModel):
    """The base of everything in a descriptor: immutable, strict, and no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Tensor(Frozen):
    """One tensor of a signature.

    Attributes:
        name: Its name in v2 requests and in the graph.
        datatype: A v2 datatype.
        shape: The dimensions of one row; the batch dimension in front is implied.
        fields: The names of the columns of a tabular input, in order.
        minimum: The smallest value that has a meaning (a black pixel), or none.
        maximum: The largest value that has a meaning (a white pixel), or none.
        missing: Whether a value may be missing: NaN, or empty text.
    """

    name: Name
    datatype: Datatype
    shape: Annotated[tuple[Dimension, ...], Field(max_length=7)]
    fields: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    missing: Literal[True] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.fields is not None and self.shape != (len(self.fields),):
            raise ValueError(f"{len(self.fields)} fields do not name the columns of a row of shape {list(self.shape)}")
        if self.fields is not None and len(set(self.fields)) != len(self.fields):
            raise ValueError("fields must be different from each other")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is larger than maximum {self.maximum}")
        if self.missing and self.datatype not in GAPPED:
            raise ValueError(f"a value of {self.datatype} can't be missing; only {', '.join(GAPPED)} can say so")
        if self.datatype == "BYTES" and (self.minimum is not None or self.maximum is not None):
            raise ValueError("text has no minimum and no maximum")
        return self

    @property
    def batch_shape(self) -> list[int]:
        """The shape as v2 metadata gives it: -1 for the batch, then one row."""
        return [-1, *self.shape]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of the values; text is str objects."""
        return np.dtype(NUMPY_TYPES[self.datatype])

    def check(self, array: NDArray[Any]) -> None:
        """Refuse an array that is not a batch of rows of this tensor.

        Args:
            array: Any shape and type.

        Raises:
            SignatureError: Type, shape, or a value (NaN, infinite, out of range, no text) does not fit.
        """
        if array.dtype != self.dtype:
            raise SignatureError(f"input {self.name!r} has datatype {array.dtype}, the model takes {self.datatype}")
        if array.ndim == 0 or array.shape[1:] != self.shape or array.shape[0] == 0:
            raise SignatureError(
                f"input {self.name!r} has shape {list(array.shape)}, the model takes {self.batch_shape} "
                "with at least one row"
            )
        if self.datatype == "BYTES":
            self._check_text(array)
            return
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            if not self.missing or np.isinf(array).any():
                raise SignatureError(f"input {self.name!r} holds NaN or infinite values")
            array = array[~np.isnan(array)]
            if not array.size:
                return
        with np.errstate(over="ignore"):  # a limit beyond what the datatype holds is none
            if self.minimum is not None and array.min() < self.minimum:
                raise SignatureError(f"input {self.name!r} holds {array.min()}, the smallest value is {self.minimum}")
            if self.maximum is not None and array.max() > self.maximum:
                raise SignatureError(f"input {self.name!r} holds {array.max()}, the largest value is {self.maximum}")

    def _check_text(self, array: NDArray[Any]) -> None:
        texts = array.ravel().tolist()
        try:
            whole = "".join(texts)
            whole.encode()
        except (TypeError, UnicodeEncodeError):  # no str, or half of a surrogate pair
            raise SignatureError(f"input {self.name!r} holds something else than text; give Unicode strings") from None
        if "\0" in whole:
            raise SignatureError(f"input {self.name!r} holds a text with U+0000; leave that character out")
        if (longest := max(map(len, texts))) > MAX_TEXT_CHARACTERS:
            raise SignatureError(
                f"input {self.name!r} holds a text of {longest} characters, the most is {MAX_TEXT_CHARACTERS}"
            )
        if not self.missing and "" in texts:
            raise SignatureError(f"input {self.name!r} holds an empty text, and no value of it may be missing")


class Signature(Frozen):
    """The tensors of a model, in the order of its graph; what it answers is numbers."""

    inputs: Annotated[tuple[Tensor, ...], Field(min_length=1)]
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for tensors in (self.inputs, self.outputs):
            if len({tensor.name for tensor in tensors}) != len(tensors):
                raise ValueError("two tensors have one name")
        if any(tensor.datatype == "BYTES" for tensor in self.outputs):
            raise ValueError("an output holds text; a graph answers with numbers")
        return self
