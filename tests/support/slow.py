"""The tiny model with a graph that takes as long as the first pixel of a picture says, and gives the same answers."""

from pathlib import Path

import numpy as np
import tiny
from onnx import TensorProto, helper, numpy_helper

from modelpackage import Golden, Package

#: Rounds for each 1 of a pixel, and those that every request takes, so that it counts as slow from the start.
SIZE, ROUNDS, FEW = 96, 20_000, 50


def graph() -> bytes:
    """Multiply matrices ROUNDS times for each 1 in the largest first pixel, then answer as the tiny model."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["carried", "turn"], ["turned"]),
            helper.make_node("Identity", ["going"], ["go"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("round_number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, [SIZE, SIZE]),
        ],
        [
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("turned", TensorProto.FLOAT, [SIZE, SIZE]),
        ],
    )
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gather", ["flat", "first"], ["pixels"], axis=1),
        helper.make_node("ReduceMax", ["pixels"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "rounds"], ["count"]),
        helper.make_node("Add", ["count", "few"], ["all"]),
        helper.make_node("Cast", ["all"], ["trips"], to=TensorProto.INT64),
        helper.make_node("Loop", ["trips", "always", "start"], ["end"], body=body),
        helper.make_node("ReduceMax", ["end"], ["one"], keepdims=0),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Mul", ["logits", "one"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=1),
    ]
    unit = np.eye(SIZE, dtype=np.float32)
    constants = {
        "first": np.int64([0]), "rounds": np.float32(ROUNDS), "few": np.float32(FEW), "always": np.bool_(True),  # noqa: FBT003  # a value
        "start": unit, "turn": unit, "weights": tiny.WEIGHTS,
    }  # fmt: skip
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 2, 2])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "slow", [image], [probabilities], tensors)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString(deterministic=True)


def seal(directory: Path) -> Package:
    """Seal it; its examples take no time."""
    images = tiny.rows()
    images[:, 0, 0] = 0
    golden = Golden(inputs={"image": images}, outputs={"probabilities": tiny.answers(images)})
    return tiny.seal(directory, graph=graph(), golden=golden)


def fields(first: float, rows: int = 1, request_id: str = "7") -> dict:
    """A request that takes as long as that."""
    data = [first, 2, 3, 4] * rows
    return {
        "id": request_id,
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [rows, 2, 2], "data": data}],
    }
