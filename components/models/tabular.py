"""What the learners of scikit-learn share: features in, and their export with the preprocessing in front.

Only the models of this folder import it. It refuses training rows in which a class is absent.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, helper, numpy_helper
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it comes without types

from components.dataset import Inputs, Splits
from components.errors import TrainingError
from components.graph import FEATURES, OPSET, PROBABILITIES, with_front
from components.models import Trained


def training_rows(splits: Splits) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the features, shape (rows, features), and the targets, shape (rows,), of the training rows.

    Raises:
        TrainingError: A class has no training row, so a learner would not give it a probability.
    """
    y = np.array(splits.part("train").y)
    counts = np.bincount(y, minlength=len(splits.rows.labels))
    if not counts.all():
        label = splits.rows.labels[int(counts.argmin())]
        raise TrainingError(f"class {label!r} has no training rows; every class needs some: add rows, or leave it out")
    return splits.features("train"), y


def at_most_threads(count: int | None) -> AbstractContextManager[Any]:
    """Bound the threads of scikit-learn's compiled loops; none takes all cores."""
    limits: AbstractContextManager[Any] = threadpool_limits(count, user_api="openmp")
    return limits


def class_weight(setting: str) -> str | None:
    """Return what scikit-learn calls the setting ``class_weights``."""
    return None if setting == "none" else setting


def trained(
    learner: Any,
    graph: GraphProto,
    splits: Splits,
    *,
    tolerance: float,
    history: Sequence[Mapping[str, float]] = (),
) -> Trained:
    """Return a fitted classifier of scikit-learn together with its graph.

    Args:
        learner: Fitted on features, with the class indices as targets.
        graph: The same learner: ``features`` in, ``probabilities`` out.
        splits: The data.
        tolerance: Largest difference that rounding explains.
        history: One entry per round, for learners that learn in rounds.
    """

    def predict(inputs: Inputs) -> NDArray[np.float32]:
        # A batch is too small for threads, which would have to meet after every tree.
        with at_most_threads(1):
            probabilities: NDArray[Any] = learner.predict_proba(splits.prepare(inputs))
        return probabilities.astype(np.float32)

    return Trained(
        predict=predict,
        graph=with_front(splits, graph),
        history=[dict(entry) for entry in history],
        tolerance=tolerance,
    )


def trees_graph(learner: Any) -> GraphProto:
    """Return an ensemble of trees as ONNX: ``features`` in, ``probabilities`` out."""
    # skl2onnx takes a second to import, which a run that trains something else does not spend.
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    model = convert_sklearn(
        learner,
        name="learner",
        initial_types=[(FEATURES, FloatTensorType([None, int(learner.n_features_in_)]))],
        options={"zipmap": False},
        target_opset=OPSET,
    )
    graph: GraphProto = model.graph
    return _clipped(graph)


def _clipped(graph: GraphProto) -> GraphProto:
    """Keep probabilities within 0 and 1: the sum of many float32 votes may be beyond by the last bit."""
    (votes,) = (node for node in graph.node if PROBABILITIES in node.output)
    votes.output[list(votes.output).index(PROBABILITIES)] = "votes"
    ends = {"smallest": np.float32(0), "largest": np.float32(1)}
    graph.initializer.extend(numpy_helper.from_array(np.array(value), name) for name, value in ends.items())
    graph.node.append(helper.make_node("Clip", ["votes", *ends], [PROBABILITIES]))
    return graph
