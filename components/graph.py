"""Graphs: run, and given a front that turns what clients send into features.

The front does the same float32 operations as training; the models of tables and of flat pictures use it. Its
counterpart in numpy is :meth:`components.dataset.Splits.prepare`, and both give the same bits.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from components.dataset import Inputs, Rows, Scaling, Splits
from components.encoding import Encoding

OPSET = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 9
FEATURES, PROBABILITIES = "features", "probabilities"
TYPES = {"FP32": TensorProto.FLOAT, "UINT8": TensorProto.UINT8, "BYTES": TensorProto.STRING}


class _Nodes:
    """Nodes and constants of a graph as they come together."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name


def with_front(splits: Splits, learner: GraphProto) -> bytes:
    """Put the preprocessing of the data in front of a learner.

    Args:
        splits: The data.
        learner: Takes ``features``, float32 of shape (rows, features); gives ``probabilities``.

    Returns:
        The graph: what clients send in, probabilities out; equal arguments give equal bytes.
    """
    front = _Nodes()
    if isinstance(splits.preprocessing, Encoding):
        _table(front, splits.preprocessing, splits.rows)
    else:
        _pictures(front, splits.preprocessing, splits.rows)
    classes = len(splits.rows.labels)
    graph = helper.make_graph(
        [*front.nodes, *learner.node],
        learner.name,
        [
            helper.make_tensor_value_info(tensor.name, TYPES[tensor.datatype], ["batch", *tensor.shape])
            for tensor in splits.rows.tensors()
        ],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["batch", classes])],
        [*front.constants, *learner.initializer],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSET.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="slipway")
    exported: bytes = model.SerializeToString(deterministic=True)
    return exported


def _pictures(front: _Nodes, scaling: Scaling, rows: Rows) -> None:
    mean, factor = scaling.arrays()
    values = "image"
    if rows.datatype != "FP32":
        values = front.add("Cast", [values], "values", to=TensorProto.FLOAT)
    # Scaling first, on the picture's own shape, where the last axis is the channels.
    centred = front.add("Sub", [values, front.constant("mean", mean)], "centred")
    scaled = front.add("Mul", [centred, front.constant("factor", factor)], "scaled")
    width = int(np.prod(rows.shape))
    front.add("Reshape", [scaled, front.constant("row_shape", np.array([-1, width], np.int64))], FEATURES)


def _table(front: _Nodes, encoding: Encoding, rows: Rows) -> None:
    parts = _numbers(front, encoding, may_miss=bool(set(rows.numbers) & set(rows.gaps))) if encoding.numbers else []
    if encoding.categories:
        front.constant("off_on", np.array([0, 1], np.float32))
        parts += [_category(front, index, column.values) for index, column in enumerate(encoding.categories)]
    front.add("Concat", parts, FEATURES, axis=1)


def _numbers(front: _Nodes, encoding: Encoding, *, may_miss: bool) -> list[str]:
    fill, mean, factor = encoding.constants()
    told = [index for index, column in enumerate(encoding.numbers) if column.indicator]
    values, parts = "numbers", []
    if may_miss:
        missing = front.add("IsNaN", [values], "missing")
        values = front.add("Where", [missing, front.constant("fill", fill), values], "filled")
    centred = front.add("Sub", [values, front.constant("mean", mean)], "centred")
    parts.append(front.add("Mul", [centred, front.constant("factor", factor)], "scaled"))
    if told:
        chosen = front.constant("indicators", np.array(told, np.int64))
        gaps = front.add("Gather", ["missing", chosen], "gaps", axis=1)
        parts.append(front.add("Cast", [gaps], "gap_features", to=TensorProto.FLOAT))
    return parts


def _category(front: _Nodes, index: int, values: Sequence[str]) -> str:
    number = front.constant(f"column_{index}", np.array(index, np.int64))
    text = front.add("Gather", ["categories", number], f"text_{index}", axis=1)
    unknown = len(values)
    # A label encoder must know at least one value; a column without any has only the place for the unknown.
    keys, codes = (list(values), list(range(unknown))) if values else ([""], [0])
    known = {"keys_strings": keys, "values_int64s": codes, "default_int64": unknown}
    code = front.add("LabelEncoder", [text], f"code_{index}", domain="ai.onnx.ml", **known)
    depth = front.constant(f"depth_{index}", np.array(unknown + 1, np.int64))
    return front.add("OneHot", [code, depth, "off_on"], f"one_hot_{index}", axis=-1)


def run_graph(graph: bytes, batches: Iterable[Inputs]) -> NDArray[np.float32]:
    """Return a graph's probabilities for batches as clients send them, shape (rows, classes)."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, batch)[0] for batch in batches])
