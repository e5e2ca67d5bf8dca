"""A real, tiny model of a table with gaps and text, and its sealed package, exact by hand."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import modelpackage
from modelpackage import Golden, Lineage, Package, Reference, Signature, Tensor, Texts, histogram

LABELS = ("stays", "leaves")
TOWNS = ("", "Zürich", "東京")
SIGNATURE = Signature(
    inputs=(
        Tensor(name="numbers", datatype="FP32", shape=(2,), fields=("age", "visits"), missing=True),
        Tensor(name="categories", datatype="BYTES", shape=(1,), fields=("town",), missing=True),
    ),
    outputs=(Tensor(name="probabilities", datatype="FP32", shape=(2,)),),
)
NUMBERS = np.array([[30, 1], [np.nan, 2], [50, np.nan], [40, 4]], np.float32)
TEXT = np.array([["Zürich"], [""], ["東京"], ["Paris"]], object)
FILL, WEIGHTS = np.array([40, 2], np.float32), np.array([0.02, -0.5], np.float32)
TOWN_WEIGHTS = np.array([0.25, -0.25, 0.5, 0.0], np.float32)


def answers() -> np.ndarray:
    """What the model says, computed without its graph."""
    known = {town: index for index, town in enumerate(TOWNS)}
    scores = np.where(np.isnan(NUMBERS), FILL, NUMBERS) @ WEIGHTS
    scores = scores + TOWN_WEIGHTS[[known.get(town, len(TOWNS)) for town in TEXT[:, 0]]]
    leaves = 1 / (1 + np.exp(-scores))
    return np.stack([1 - leaves, leaves], axis=1).astype(np.float32)


def graph() -> bytes:
    """The same model as an ONNX graph."""
    towns = {"keys_strings": list(TOWNS), "values_int64s": list(range(len(TOWNS))), "default_int64": len(TOWNS)}
    nodes = [
        helper.make_node("IsNaN", ["numbers"], ["gaps"]),
        helper.make_node("Where", ["gaps", "fill", "numbers"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["by_numbers"]),
        helper.make_node("LabelEncoder", ["categories"], ["code"], domain="ai.onnx.ml", **towns),
        helper.make_node("Gather", ["town_weights", "code"], ["by_town"]),
        helper.make_node("Add", ["by_numbers", "by_town"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["leaves"]),
        helper.make_node("Sub", ["one", "leaves"], ["stays"]),
        helper.make_node("Concat", ["stays", "leaves"], ["probabilities"], axis=1),
    ]
    constants = {"fill": FILL, "weights": WEIGHTS.reshape(2, 1), "town_weights": TOWN_WEIGHTS, "one": np.float32([1])}
    body = helper.make_graph(
        nodes,
        "coin",
        [
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("categories", TensorProto.STRING, ["batch", 1]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(body, opset_imports=opsets, ir_version=9).SerializeToString(deterministic=True)


def golden(first: int = 0) -> Golden:
    """The examples from a row on."""
    inputs = {"numbers": NUMBERS[first:], "categories": TEXT[first:]}
    return Golden(inputs=inputs, outputs={"probabilities": answers()[first:]})


def seal(directory: Path, *, first: int = 0) -> Package:
    """Seal the tiny table; its examples start with a row of choice."""
    described = modelpackage.describe(NUMBERS, kind="tabular", fields=("age", "visits"))
    return modelpackage.seal(
        directory,
        name="tiny-table",
        kind="tabular",
        signature=SIGNATURE,
        labels=LABELS,
        preprocessing={"fill": FILL.tolist()},
        tolerance=1e-5,
        metrics={"accuracy": 1.0},
        lineage=Lineage(data="0" * 64, code="1" * 64, software={"numpy": "2"}, parameters={"seed": 0}),
        graph=graph(),
        golden=golden(first),
        reference=Reference(
            rows=len(NUMBERS),
            inputs={name: histogram(values) for name, values in described.items()},
            confidence=histogram(answers().max(axis=1).astype(float)),
            classes=dict.fromkeys(LABELS, 2),
            missing={"age": 1, "visits": 1},
            texts={"town": Texts(counts={"Zürich": 1, "": 1, "東京": 1}, others=1)},
        ),
    )
