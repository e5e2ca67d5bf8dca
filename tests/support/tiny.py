"""A real, tiny model and its sealed package: softmax(image · weights), exact and built in milliseconds."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import modelpackage
from modelpackage import Golden, Lineage, Package, Reference, Signature, Tensor, histogram

LABELS = ("left", "right", "none")
SIGNATURE = Signature(
    inputs=(Tensor(name="image", datatype="FP32", shape=(2, 2), minimum=0.0, maximum=16.0),),
    outputs=(Tensor(name="probabilities", datatype="FP32", shape=(3,)),),
)
WEIGHTS = np.array([[1, 0, -1], [0, 1, -1], [1, 0, -1], [0, 1, -1]], dtype=np.float32) / 4


def rows(count: int = 6, seed: int = 0) -> np.ndarray:
    """Images of shape (count, 2, 2), values 0 to 16."""
    return np.random.default_rng(seed).integers(0, 17, (count, 2, 2)).astype(np.float32)


def answers(images: np.ndarray) -> np.ndarray:
    """What the model says, computed without its graph."""
    logits = images.reshape(-1, 4) @ WEIGHTS
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def graph() -> bytes:
    """The same model as an ONNX graph."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 2, 2])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])
    body = helper.make_graph(nodes, "tiny", [image], [probabilities], [numpy_helper.from_array(WEIGHTS, "weights")])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString(deterministic=True)


def seal(directory: Path, **changes: object) -> Package:
    """Seal the tiny model; keyword arguments replace what goes into the package."""
    images = rows()
    described = modelpackage.describe(images, kind="image")
    content = {
        "name": "tiny",
        "kind": "image",
        "signature": SIGNATURE,
        "labels": LABELS,
        "preprocessing": {"mean": 0.0, "scale": 1.0},
        "tolerance": 1e-5,
        "metrics": {"accuracy": 1.0},
        "lineage": Lineage(data="0" * 64, code="1" * 64, software={"numpy": "2"}, parameters={"seed": 0}),
        "graph": graph(),
        "golden": Golden(inputs={"image": images}, outputs={"probabilities": answers(images)}),
        "reference": Reference(
            rows=len(images),
            inputs={name: histogram(values) for name, values in described.items()},
            confidence=histogram(answers(images).max(axis=1).astype(float)),
            classes=dict.fromkeys(LABELS, 2),
        ),
    }
    return modelpackage.seal(directory, **(content | changes))
