"""Rows of a table by named columns: one v2 tensor for each column becomes the tensors that the model takes.

A column of numbers may come in any numeric datatype; the model's own is made of it. Refuses unknown, missing and
unequally long columns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpackage import Signature, Tensor
from serving.codec import tensors
from serving.codec.tensors import Bounds, shown
from serving.errors import InvalidInputError

NUMBERS = frozenset({"UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"})
NAMED = 5


class Columns:
    """The columns of a table.

    Args:
        signature: What the model takes.

    Attributes:
        names: Of all columns; empty where the inputs are not all made of named columns.
    """

    def __init__(self, signature: Signature) -> None:
        self._inputs = signature.inputs
        fields = [tensor.fields or () for tensor in signature.inputs]
        names = [name for group in fields for name in group]
        whole = all(fields) and len(set(names)) == len(names)
        self.names = frozenset(names) if whole else frozenset()

    def decode(self, given: Mapping[str, Mapping[str, Any]], bounds: Bounds) -> dict[str, NDArray[Any]]:
        """Return the inputs of the model.

        Args:
            given: v2 tensors of shape (rows,) or (rows, 1) by the name of their column.
            bounds: How large they may be.

        Raises:
            InvalidInputError: They do not fit.
        """
        if missing := sorted(self.names - given.keys()):
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            named = ", ".join(map(repr, missing[:NAMED]))
            raise InvalidInputError(f"columns are missing: {named}{more}; give one input for each column")
        return {tensor.name: self._tensor(tensor, given, bounds) for tensor in self._inputs}

    def _tensor(self, tensor: Tensor, given: Mapping[str, Mapping[str, Any]], bounds: Bounds) -> NDArray[Any]:
        columns = [_column(tensor, name, given[name], bounds) for name in tensor.fields or ()]
        if len({len(column) for column in columns}) > 1:
            raise InvalidInputError("the columns differ in their number of rows; give each the same first dimension")
        tensors.check_size(tensor.name, (len(columns[0]), len(columns)), bounds)
        return np.stack(columns, axis=1)


def _column(tensor: Tensor, name: str, item: Mapping[str, Any], bounds: Bounds) -> NDArray[Any]:
    datatype = item.get("datatype")
    own = _named(tensor, name)
    if datatype == tensor.datatype:
        return tensors.decode(own, _flat(item), bounds)
    if tensor.datatype not in NUMBERS or not isinstance(datatype, str) or datatype not in NUMBERS:
        takes = "a numeric datatype" if tensor.datatype in NUMBERS else tensor.datatype
        raise InvalidInputError(f"column {name!r} has datatype {shown(datatype)}, it takes {takes}")
    gap = tensor.missing if datatype.startswith("FP") else None
    other = own.model_copy(update={"datatype": datatype, "minimum": None, "maximum": None, "missing": gap})
    column = _converted(own, tensors.decode(other, _flat(item), bounds))
    tensors.check(own, column)
    return column


def _converted(tensor: Tensor, column: NDArray[Any]) -> NDArray[Any]:
    """Return a column in the datatype of a tensor; a float beyond it becomes infinite, which its check refuses."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = column.astype(tensor.dtype)
    if tensor.dtype.kind in "iu" and (found != column).any():
        raise InvalidInputError(f"column {tensor.name!r} holds a number that {tensor.datatype} can't hold")
    return found


def _named(tensor: Tensor, name: str) -> Tensor:
    """Return one column of a tensor; not validated, for a column's name may be any text and a tensor's may not."""
    return tensor.model_copy(update={"name": name, "shape": (), "fields": None})


def _flat(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a column of shape (rows, 1), or with values nested like that, as one of shape (rows,)."""
    shape, data = item.get("shape"), item.get("data")
    if tensors.is_column(shape):
        item = {**item, "shape": shape[:1]}
    if isinstance(data, list) and data and all(isinstance(value, list) and len(value) == 1 for value in data):
        item = {**item, "data": [value[0] for value in data]}
    return item


def described(names: Sequence[str]) -> str:
    """Name a few columns for a message."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
