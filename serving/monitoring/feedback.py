"""Live quality: predictions are remembered by request id, ground truth joins them later, and figures follow.

What is remembered of a request are its id and the predicted classes; the oldest is forgotten first. The figures are
over the latest judgements, one per request id, however often it is judged.

Refuses truth for a request that it does not remember, of another number of rows, or of a label that the model lacks.
May be imported by whoever wires the predictor.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.errors import InvalidInputError, UnknownRequestError
from serving.monitoring import quality
from serving.monitoring.record import Record

CAPACITY = 20_000
#: Rows that are remembered for each request of the capacity, on average; large requests are forgotten sooner.
ROWS_PER_REQUEST = 10
WINDOW = 10_000
MAX_ECHO_CHARACTERS = 24
#: Labels of the model that a refusal lists.
LISTED = 10

FIGURES = {
    "rows": "Rows whose ground truth is known, the latest ones",
    "accuracy": "Share of judged rows that were predicted right",
    "accuracy_low": "Lower end of the 95 % interval of the accuracy",
    "accuracy_high": "Upper end of the 95 % interval of the accuracy",
    "f1_macro": "Mean F1 of the classes that have one",
}

Classes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a request was answered: ``classes`` of shape (rows,), numbered in the order it was remembered."""

    number: int
    classes: Classes


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a request was answered and what was true, both of shape (rows,), numbered in the order of judging."""

    number: int
    classes: Classes
    truth: Classes


@dataclass(frozen=True, slots=True)
class Changes:
    """What is new since the last time, by request id; what has a lower number than the oldest is forgotten.

    ``whole`` says that this is everything and not only what is new.
    """

    predictions: dict[str, Prediction]
    judgements: dict[str, Judgement]
    oldest_prediction: int
    oldest_judgement: int
    whole: bool


class Feedback(Collector):
    """Joins predictions and ground truth of one model.

    Any method may be called from any thread.

    Args:
        labels: Of the model, in the order of its classes.
        capacity: Requests that are remembered, and a tenth of the rows.
        window: The most judged rows that figures are over.
    """

    def __init__(self, labels: Sequence[str], *, capacity: int = CAPACITY, window: int = WINDOW) -> None:
        self.labels = tuple(labels)
        self._index = {label: index for index, label in enumerate(self.labels)}
        self._capacity = capacity
        self._window = window
        self._lock = Lock()
        self._number = 0
        # The oldest first. A plain dict keeps that order too, but takes ever longer to find its first key.
        self._predictions: OrderedDict[str, Prediction] = OrderedDict()
        self._judgements: OrderedDict[str, Judgement] = OrderedDict()
        self._predicted_rows = self._judged_rows = 0
        self._new: tuple[set[str], set[str]] = set(), set()
        #: By class: predicted and true, predicted, true.
        self._counts = np.zeros((3, len(self.labels)), np.int64)

    def remember(self, record: Record) -> None:
        """Keep what a request was answered; a repeated id replaces the earlier answer."""
        classes = record.classes.astype(np.int32)
        with self._lock:
            self._remember(record.id, classes)

    def judge(self, request_id: str, labels: Sequence[str]) -> dict[str, Any]:
        """Join the ground truth of a request; a repeated judgement replaces the earlier one.

        Args:
            request_id: Of an answer.
            labels: The true label of each of its rows.

        Returns:
            ``id``, ``rows``, and how many of them were ``correct``.

        Raises:
            UnknownRequestError: The id is not remembered.
            InvalidInputError: Another number of rows, or a label that the model does not have.
        """
        truth = self._classes(labels)
        with self._lock:
            known = self._predictions.get(request_id) or self._judgements.get(request_id)
            if known is None:
                raise UnknownRequestError(
                    f"no answer is remembered under this 'id'; send feedback within {self._capacity} requests, "
                    "to the server that answered"
                )
            if len(truth) != len(known.classes):
                raise InvalidInputError(
                    f"'labels' has {len(truth)} labels, the request had {len(known.classes)} rows; give one for each"
                )
            self._judge(request_id, known.classes, truth)
        return {"id": request_id, "rows": len(truth), "correct": int((known.classes == truth).sum())}

    def collect(self) -> Iterable[Metric]:
        """Return the gauges for Prometheus; every label is one of the model's."""
        with self._lock:
            counts = self._counts.copy()
        yield from self._families(quality.overall(counts), quality.by_class(counts))

    def changes(self, *, whole: bool = False) -> Changes:
        """Return what is new since the last call, or everything."""
        with self._lock:
            predicted, judged = (self._predictions, self._judgements) if whole else self._new
            found = Changes(
                predictions={request_id: self._predictions[request_id] for request_id in predicted},
                judgements={request_id: self._judgements[request_id] for request_id in judged},
                oldest_prediction=_oldest(self._predictions, self._number),
                oldest_judgement=_oldest(self._judgements, self._number),
                whole=whole,
            )
            self._new = set(), set()
        return found

    def restore(self, predictions: Mapping[str, Classes], judgements: Mapping[str, tuple[Classes, Classes]]) -> None:
        """Put earlier predictions and judgements, oldest first, before those that are here.

        Raises:
            ValueError: One of them is not of this model; nothing is restored.
        """
        given = (*predictions.values(), *(classes for pair in judgements.values() for classes in pair))
        every = np.concatenate([*given, np.zeros(1, np.int32)])  # at once: one by one takes a second
        if not 0 <= every.min() <= every.max() < len(self.labels):
            raise ValueError(f"there are classes beyond the model's {len(self.labels)}")
        if any(len(classes) != len(truth) for classes, truth in judgements.values()):
            raise ValueError("a judgement has not one label for each row")
        with self._lock:
            later, judged_later = self._predictions, self._judgements
            self._predictions, self._judgements = OrderedDict(), OrderedDict()
            self._predicted_rows = self._judged_rows = 0
            self._counts[:] = 0
            self._new = set(), set()
            for request_id, classes in (*predictions.items(), *((key, each.classes) for key, each in later.items())):
                self._remember(request_id, classes)
            pairs = ((key, (each.classes, each.truth)) for key, each in judged_later.items())
            for request_id, (classes, truth) in (*judgements.items(), *pairs):
                self._judge(request_id, classes, truth)

    def _classes(self, labels: Sequence[str]) -> Classes:
        for label in labels:
            if label not in self._index:
                more = ["..."] if len(self.labels) > LISTED else []
                known = ", ".join([*map(repr, self.labels[:LISTED]), *more])
                raise InvalidInputError(f"the model has no label {_word(label)}; it knows {known}")
        return np.array([self._index[label] for label in labels], np.int32)

    def _remember(self, request_id: str, classes: Classes) -> None:
        if earlier := self._predictions.pop(request_id, None):
            self._predicted_rows -= len(earlier.classes)
        self._number += 1
        self._predictions[request_id] = Prediction(self._number, classes)
        self._new[0].add(request_id)
        self._predicted_rows += len(classes)
        while len(self._predictions) > self._capacity or self._predicted_rows > self._capacity * ROWS_PER_REQUEST:
            forgotten, oldest = self._predictions.popitem(last=False)
            self._predicted_rows -= len(oldest.classes)
            self._new[0].discard(forgotten)

    def _judge(self, request_id: str, classes: Classes, truth: Classes) -> None:
        if request_id in self._judgements:
            self._drop(request_id)
        self._number += 1
        self._judgements[request_id] = Judgement(self._number, classes, truth)
        self._new[1].add(request_id)
        self._count(classes, truth, 1)
        while self._judged_rows > self._window:
            self._drop(next(iter(self._judgements)))

    def _drop(self, request_id: str) -> None:
        judgement = self._judgements.pop(request_id)
        self._new[1].discard(request_id)
        self._count(judgement.classes, judgement.truth, -1)

    def _count(self, classes: Classes, truth: Classes, sign: int) -> None:
        self._judged_rows += sign * len(truth)
        for row, counted in enumerate((truth[classes == truth], classes, truth)):
            np.add.at(self._counts[row], counted, sign)

    def _families(self, figures: Mapping[str, float], by_class: Mapping[str, Mapping[int, float]]) -> Iterable[Metric]:
        for name, text in FIGURES.items():
            family = GaugeMetricFamily(f"slipway_live_{name}", text)
            if name in figures:
                family.add_metric([], figures[name])
            yield family
        for name, values in by_class.items():
            text = f"{name.capitalize()} of a class over judged rows"
            family = GaugeMetricFamily(f"slipway_live_{name}", text, labels=["class"])
            for index, value in values.items():
                family.add_metric([self.labels[index]], value)
            yield family


def parse_feedback(fields: Mapping[str, Any], longest: int) -> tuple[str, list[str]]:
    """Read the body of a feedback request, ``{"id": "...", "labels": ["...", ...]}``.

    Args:
        fields: The JSON object.
        longest: The most characters of an id.

    Raises:
        InvalidInputError: It is anything else.
    """
    for name in fields:
        if name not in ("id", "labels"):
            raise InvalidInputError(f"there is no field {_word(name)} in feedback; send 'id' and 'labels'")
    request_id, labels = fields.get("id"), fields.get("labels")
    if not isinstance(request_id, str) or not 0 < len(request_id) <= longest:
        raise InvalidInputError(f"'id' must be that of an answer, a string of 1 to {longest} characters")
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        raise InvalidInputError("'labels' must be a list of strings, the true label of each row of the request")
    return request_id, labels


def _oldest(kept: Mapping[str, Prediction | Judgement], number: int) -> int:
    """Return the number of the oldest entry; without any, one that none has reached."""
    return next(iter(kept.values())).number if kept else number + 1


def _word(text: str) -> str:
    """Return the first word of a client's text, shortened: an answer must not carry more of it than that."""
    return repr((text.split() or [""])[0][:MAX_ECHO_CHARACTERS])
