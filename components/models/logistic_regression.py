"""A logistic regression by scikit-learn, in double precision in training and in the graph."""

import warnings

import numpy as np
from onnx import GraphProto, TensorProto, helper, numpy_helper
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning

from components.console import say
from components.dataset import Splits
from components.graph import FEATURES, PROBABILITIES
from components.models import Trained
from components.models.settings import LogisticRegression
from components.models.tabular import class_weight, trained, training_rows


def fit(settings: LogisticRegression, splits: Splits, seed: int) -> Trained:
    """Fit the weights on the training rows.

    Args:
        settings: The regression's settings.
        splits: The data.
        seed: Nothing is drawn, so it decides nothing.

    Raises:
        TrainingError: A class has no training rows.
    """
    x, y = training_rows(splits)
    say(f"fitting {x.shape[1]} weights per class on {len(x)} rows")
    learner = linear_model.LogisticRegression(
        C=settings.c,
        max_iter=settings.max_iterations,
        class_weight=class_weight(settings.class_weights),
        random_state=seed,
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ConvergenceWarning)
        learner.fit(x.astype(np.float64), y)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in told):
        say(f"warning: not settled after {settings.max_iterations} steps; raise train.max_iterations or lower train.c")
    return trained(learner, _graph(learner), splits, tolerance=1e-6)


def _graph(learner: linear_model.LogisticRegression) -> GraphProto:
    """Return the regression as ONNX; a sum of float32 products would be off by more than 1e-5 on wide rows."""
    weights, biases = learner.coef_.T, learner.intercept_
    if weights.shape[1] == 1:  # of two classes, only the second has weights
        weights, biases = np.pad(weights, ((0, 0), (1, 0))), np.pad(biases, (1, 0))
    return helper.make_graph(
        [
            helper.make_node("Cast", [FEATURES], ["doubles"], to=TensorProto.DOUBLE),
            helper.make_node("MatMul", ["doubles", "weights"], ["products"]),
            helper.make_node("Add", ["products", "biases"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["shares"], axis=1),
            helper.make_node("Cast", ["shares"], [PROBABILITIES], to=TensorProto.FLOAT),
        ],
        "learner",
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", weights.shape[0]])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["batch", weights.shape[1]])],
        [
            numpy_helper.from_array(np.ascontiguousarray(weights), "weights"),
            numpy_helper.from_array(np.ascontiguousarray(biases), "biases"),
        ],
    )
