"""Drift: how far the last rows are from what the model was trained on, and whether chance explains it.

Watched are the input quantities of ``reference.json``, the confidence and the predicted class, each over a window of
the last rows. What is kept of a row is the number of its bin per quantity, never a value of a client.

An alarm is raised where PSI is an effect (:data:`EFFECT`) and more than chance: all quantities of a package together
raise a false one in about :data:`FALSE_ALARMS` of the windows drawn independently from the reference, or in fewer
(Bonferroni: each quantity gets its equal part). Windows that overlap are no independent draws, and rows that come in
clumps, such as frames of one film, are fewer rows than they seem: both alarm more often than that.

Refuses to say anything below ``min_rows``, or where the reference has too few rows to tell. May be imported by whoever
wires the predictor.
"""

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelpackage import Descriptor, Reference
from serving.monitoring import quantities
from serving.monitoring.psi import bound, fold, psi, regroup
from serving.monitoring.quantities import Bins, Quantity
from serving.monitoring.record import Record

WINDOW = 1000
MIN_ROWS = 200
#: A smaller PSI is no effect, however certain: the rule of thumb's moderate shift.
EFFECT = 0.1
#: Probability that any quantity of a package raises a false alarm in one window.
FALSE_ALARMS = 0.01
#: Input quantities that are watched; further columns, in the order of the signature, are not.
MOST_QUANTITIES = 200

Side = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the window says of a quantity: its PSI, and the bar that an alarm takes."""

    name: str
    psi: float
    bar: float

    @property
    def alarm(self) -> bool:
        """Whether the shift is an effect and more than chance."""
        return self.psi >= self.bar


class Window:
    """The last rows on one side of the model.

    Args:
        quantities: What is watched there.

    Attributes:
        bins: Shape (rows, quantities), the oldest row first.
        findings: What they say; empty while they say nothing.
    """

    def __init__(self, quantities: Iterable[Quantity]) -> None:
        self.quantities = tuple(quantities)
        self.bins: Bins = np.empty((0, len(self.quantities)), np.int32)
        self.findings: tuple[Finding, ...] = ()
        self._groups: tuple[int, list[NDArray[np.int64]]] = (0, [])

    def locate(self, values: Mapping[str, NDArray[Any]]) -> Bins:
        """Return the bins of rows that are given as values of shape (rows,) by quantity."""
        return np.stack([quantity.locate(values[quantity.name]) for quantity in self.quantities], axis=1)

    def judge(self, bins: Bins, level: float) -> tuple[Finding, ...]:
        """Compare bins with the reference; a quantity of which nothing can be said is left out."""
        if self._groups[0] != len(bins):
            self._groups = len(bins), [fold(quantity.reference, len(bins)) for quantity in self.quantities]
        columns = zip(self.quantities, bins.T, self._groups[1], strict=True)
        found = (_compare(quantity, column, groups, level) for quantity, column, groups in columns)
        return tuple(finding for finding in found if finding)


class Drift(Collector):
    """Watches the drift of one package.

    ``take`` and ``restore`` come from one thread at a time; the rest may be called from any.

    Args:
        descriptor: Of the package.
        reference: Of the same package.
        window: The last rows that are compared.
        min_rows: Below, nothing is said.
    """

    def __init__(
        self, descriptor: Descriptor, reference: Reference, *, window: int = WINDOW, min_rows: int = MIN_ROWS
    ) -> None:
        self._descriptor = descriptor
        self._rows = window
        self._min_rows = min_rows
        self._windows: dict[Side, Window] = {
            "input": Window(islice(quantities.inputs(descriptor, reference), MOST_QUANTITIES)),
            "output": Window(quantities.outputs(descriptor, reference)),
        }
        self._level = FALSE_ALARMS / max(1, sum(len(side.quantities) for side in self._windows.values()))
        self._lock = Lock()

    def take(self, records: Sequence[Record]) -> None:
        """Add answered requests to the windows; those without inputs only to that of the outputs."""
        if answered := _latest(records, self._rows):
            classes = np.concatenate([record.classes for record in answered])
            confidence = np.concatenate([record.confidence for record in answered]).astype(np.float64)
            self._extend("output", {"class": classes, "confidence": confidence})
        if sampled := _latest([record for record in records if record.inputs is not None], self._rows):
            given = [record.inputs or {} for record in sampled]
            names = [tensor.name for tensor in self._descriptor.signature.inputs]
            arrays = {name: np.concatenate([each[name] for each in given])[-self._rows :] for name in names}
            self._extend("input", quantities.values(self._descriptor, arrays))

    def collect(self) -> Iterable[Metric]:
        """Return the gauges for Prometheus; every label is a word of the package or of this module."""
        labels = ["side", "quantity"]
        index = GaugeMetricFamily("slipway_drift_psi", "Population stability index of the window", labels=labels)
        bar = GaugeMetricFamily("slipway_drift_bar", "The index from which a quantity alarms", labels=labels)
        alarm = GaugeMetricFamily("slipway_drift_alarm", "1 where a shift is large and not chance", labels=labels)
        rows = GaugeMetricFamily("slipway_drift_rows", "Rows in the window", labels=labels[:1])
        with self._lock:
            now = {side: (len(window.bins), window.findings) for side, window in self._windows.items()}
        for side, (count, findings) in now.items():
            rows.add_metric([side], count)
            for finding in findings:
                index.add_metric([side, finding.name], finding.psi)
                bar.add_metric([side, finding.name], finding.bar)
                alarm.add_metric([side, finding.name], float(finding.alarm))
        return index, bar, alarm, rows

    def snapshot(self) -> dict[str, Any]:
        """Return the windows as JSON types: bins only, no value of a client."""
        with self._lock:
            now = {side: (window.quantities, window.bins) for side, window in self._windows.items()}
        kept: dict[str, Any] = {
            side: {"quantities": [each.name for each in watched], "bins": _pack(bins)}
            for side, (watched, bins) in now.items()
        }
        return {"package": self._descriptor.digest, **kept}

    def restore(self, snapshot: Mapping[str, Any]) -> str | None:
        """Put the rows of a snapshot before those that are here.

        Returns:
            Why it was ignored, or None.
        """
        if snapshot.get("package") != self._descriptor.digest:
            return "the drift window is that of another package"
        try:
            kept = {side: _unpack(snapshot[side], window) for side, window in self._windows.items()}
        except (KeyError, TypeError, ValueError, binascii.Error, zlib.error):
            return "the drift window is damaged"
        for side, bins in kept.items():
            self._replace(side, np.concatenate([bins, self._windows[side].bins]))
        return None

    def _extend(self, side: Side, values: Mapping[str, NDArray[Any]]) -> None:
        window = self._windows[side]
        if window.quantities:
            self._replace(side, np.concatenate([window.bins, window.locate(values)]))

    def _replace(self, side: Side, bins: Bins) -> None:
        window, bins = self._windows[side], bins[-self._rows :]
        findings = window.judge(bins, self._level) if len(bins) >= self._min_rows else ()
        with self._lock:
            window.bins, window.findings = bins, findings


def _compare(quantity: Quantity, bins: Bins, groups: NDArray[np.int64], level: float) -> Finding | None:
    if not groups.max():
        return None  # one group of everything: the reference has too few rows to tell
    window = np.bincount(bins, minlength=len(quantity.reference))
    expected, found = regroup(quantity.reference, groups), regroup(window, groups)
    used = expected + found > 0
    if used.sum() == 1:
        return Finding(quantity.name, 0.0, EFFECT)
    chance = bound(int(expected.sum()), len(bins), int(used.sum()), level)
    return Finding(quantity.name, psi(expected[used], found[used]), max(EFFECT, chance))


def _latest(records: Sequence[Record], rows: int) -> list[Record]:
    """Return the last records that together have enough rows, in their order."""
    latest: list[Record] = []
    for record in reversed(records):
        if rows <= 0:
            break
        latest.append(record)
        rows -= len(record.classes)
    return latest[::-1]


def _pack(bins: Bins) -> str:
    return base64.b64encode(zlib.compress(bins.astype("<i4").tobytes(), 1)).decode()


def _unpack(packed: Mapping[str, Any], window: Window) -> Bins:
    """Return the rows of a snapshot.

    Raises:
        ValueError: They are not rows of these quantities.
    """
    if packed["quantities"] != [quantity.name for quantity in window.quantities]:
        raise ValueError
    if not window.quantities:
        return window.bins
    raw = zlib.decompress(base64.b64decode(packed["bins"], validate=True))
    bins = np.frombuffer(raw, "<i4").astype(np.int32).reshape(-1, len(window.quantities))
    if (bins < 0).any() or (bins >= [len(quantity.reference) for quantity in window.quantities]).any():
        raise ValueError
    return bins
