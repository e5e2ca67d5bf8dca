"""What of a package is watched for drift, and the bins that values of it fall into.

Means the same as training did: values are described by :func:`modelpackage.describe` and fall into the bins that
``reference.json`` has counted. What a reference lacks is not watched. May be imported by the drift watcher.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelpackage import Descriptor, Histogram, Reference, Tensor, Texts, describe

#: Pictures turned into float64 at a time, to bound the memory that takes.
CHUNK = 128

Bins = NDArray[np.int32]
Kind = Literal["tabular", "image"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One thing that is watched.

    Attributes:
        name: Of a column, or of what is told of a picture or an answer.
        reference: Counts of shape (bins,), not all zero.
        locate: Turns values of shape (rows,) into the numbers of their bins.
    """

    name: str
    reference: NDArray[np.int64]
    locate: Callable[[NDArray[Any]], Bins]


def inputs(descriptor: Descriptor, reference: Reference) -> Iterator[Quantity]:
    """Yield the quantities of the inputs in the order of the signature; of two with one name the first."""
    texts, missing = reference.texts or {}, reference.missing or {}
    seen: set[str] = set()
    for tensor in descriptor.signature.inputs:
        for name in _describe(tensor, np.zeros((1, *tensor.shape), tensor.dtype), descriptor.kind):
            if name in seen:
                continue
            seen.add(name)
            if tensor.datatype == "BYTES" and name in texts:
                yield _text(name, texts[name])
            elif tensor.datatype != "BYTES" and name in reference.inputs:
                yield _number(name, reference.inputs[name], missing.get(name, 0))


def outputs(descriptor: Descriptor, reference: Reference) -> Iterator[Quantity]:
    """Yield the quantities of the answers, as far as the reference has counted any."""
    classes = np.array([reference.classes[label] for label in descriptor.labels], np.int64)
    if classes.any():
        yield Quantity("class", classes, lambda values: values.astype(np.int32))
    if any(reference.confidence.counts):
        yield _number("confidence", reference.confidence, 0)


def values(descriptor: Descriptor, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the values of every quantity of the inputs, shape (rows,), from arrays by tensor name."""
    found: dict[str, NDArray[Any]] = {}
    for tensor in descriptor.signature.inputs:
        found = _describe(tensor, arrays[tensor.name], descriptor.kind) | found
    return found


def _describe(tensor: Tensor, rows: NDArray[Any], kind: Kind) -> dict[str, NDArray[Any]]:
    if tensor.datatype == "BYTES":
        return dict(zip(tensor.fields or (), rows.reshape(len(rows), -1).T, strict=False))
    starts = range(0, len(rows), CHUNK)
    chunks = [describe(rows[start : start + CHUNK], kind=kind, fields=tensor.fields) for start in starts]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _number(name: str, counted: Histogram, missing: int) -> Quantity:
    """Return a quantity with the bins of a histogram and one more for missing values."""
    inner: NDArray[np.float64] = np.asarray(counted.edges[1:-1], np.float64)
    last = len(counted.counts)

    def locate(values: NDArray[Any]) -> Bins:
        # The very rule of modelpackage.histogram, which only counts.
        return np.where(np.isnan(values), last, np.searchsorted(inner, values, side="right")).astype(np.int32)

    return Quantity(name, np.array([*counted.counts, missing], np.int64), locate)


def _text(name: str, counted: Texts) -> Quantity:
    """Return a quantity with a bin for each counted value and one for all others."""
    known = {text: index for index, text in enumerate(sorted(counted.counts))}
    counts: Sequence[int] = [*(counted.counts[text] for text in known), counted.others]

    def locate(values: NDArray[Any]) -> Bins:
        return np.array([known.get(text, len(known)) for text in values.tolist()], np.int32)

    return Quantity(name, np.array(counts, np.int64), locate)
