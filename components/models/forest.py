"""A random forest by scikit-learn, exported by skl2onnx."""

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier

from components.config import Forest
from components.console import say
from components.dataset import Splits
from components.models import Trained

OPSET = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 9


def fit(settings: Forest, splits: Splits, seed: int) -> Trained:
    """Grow the forest on the training rows.

    Args:
        settings: The forest's settings.
        splits: The data.
        seed: Decides the samples and the features that each tree sees.
    """
    x, y = _flat(splits.scaled("train")), splits.y("train")
    say(f"growing {settings.trees} trees on {len(x)} rows of {x.shape[1]} values")
    forest = RandomForestClassifier(
        n_estimators=settings.trees,
        max_depth=settings.max_depth,
        min_samples_leaf=settings.min_samples_leaf,
        random_state=seed,
        n_jobs=-1,
    ).fit(x, y)

    def predict(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = forest.predict_proba(_flat(splits.scaling.apply(rows)))
        return probabilities.astype(np.float32)

    return Trained(predict=predict, graph=_export(forest, splits), history=[], tolerance=1e-5)


def _flat(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(x.reshape(len(x), -1))


def _export(forest: RandomForestClassifier, splits: Splits) -> bytes:
    """Convert the trees and put the scaling in front, in the same float32 operations as in training."""
    tensor = splits.rows.tensor()
    width = int(np.prod(tensor.shape))
    trees: ModelProto = convert_sklearn(
        forest,
        name="forest",
        initial_types=[("scaled", FloatTensorType([None, width]))],
        options={"zipmap": False},
        target_opset=OPSET,
    )
    mean, factor = splits.scaling.arrays()
    steps = [
        # Scaling first, on the row's own shape: numbers of a picture share one mean, columns have one each.
        helper.make_node("Sub", [tensor.name, "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "factor"], ["in_units"]),
        helper.make_node("Reshape", ["in_units", "row_shape"], ["scaled"]),
        *trees.graph.node,
    ]
    constants = [
        numpy_helper.from_array(mean, "mean"),
        numpy_helper.from_array(factor, "factor"),
        numpy_helper.from_array(np.array([-1, width], np.int64), "row_shape"),
        *trees.graph.initializer,
    ]
    graph = helper.make_graph(
        steps,
        "forest",
        [helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, ["batch", *tensor.shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(splits.rows.labels)])],
        constants,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSET.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="slipway")
    exported: bytes = model.SerializeToString(deterministic=True)
    return exported
