"""A real, tiny model of colour pictures and its sealed package: which channel is the strongest, exact by hand.

The pictures are higher than wide, so that nothing can mix up the two.
"""

import io
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import modelpackage
from modelpackage import Golden, Lineage, Package, Picture, Reference, Signature, Tensor, histogram

LABELS = ("red", "green", "blue")
PICTURE = Picture(height=5, width=3, colour="rgb")
SIGNATURE = Signature(
    inputs=(Tensor(name="image", datatype="UINT8", shape=PICTURE.shape(), minimum=0.0, maximum=255.0),),
    outputs=(Tensor(name="probabilities", datatype="FP32", shape=(3,)),),
)
#: The pixel at the top right counts twice.
WEIGHTS = np.tile(np.eye(3, dtype=np.float32) / 1024, (15, 1))
WEIGHTS[6:9] *= 2


def pixels(count: int = 6, seed: int = 0) -> np.ndarray:
    """Pictures of shape (count, 5, 3, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, *PICTURE.shape())).astype(np.uint8)


def answers(images: np.ndarray) -> np.ndarray:
    """What the model says, computed without its graph."""
    odds = np.exp(images.reshape(-1, 45).astype(np.float32) @ WEIGHTS)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def encoded(image: np.ndarray, form: str = "PNG", *, scale: int = 1) -> bytes:
    """A file with that picture, each pixel as a square."""
    buffer = io.BytesIO()
    Image.fromarray(image.repeat(scale, 0).repeat(scale, 1)).save(buffer, form)
    return buffer.getvalue()


def graph() -> bytes:
    """The same model as an ONNX graph."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["bytes"]),
        helper.make_node("Cast", ["bytes"], ["flat"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *PICTURE.shape()])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])
    body = helper.make_graph(nodes, "tiny", [image], [probabilities], [numpy_helper.from_array(WEIGHTS, "weights")])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString(deterministic=True)


def seal(directory: Path) -> Package:
    """Seal the tiny model."""
    images = pixels()
    described = modelpackage.describe(images, kind="image")
    return modelpackage.seal(
        directory,
        name="tiny-picture",
        kind="image",
        signature=SIGNATURE,
        labels=LABELS,
        preprocessing={"picture": PICTURE.model_dump(mode="json")},
        tolerance=1e-5,
        metrics={"accuracy": 1.0},
        lineage=Lineage(data="0" * 64, code="1" * 64, software={"numpy": "2"}, parameters={"seed": 0}),
        graph=graph(),
        golden=Golden(inputs={"image": images}, outputs={"probabilities": answers(images)}),
        reference=Reference(
            rows=len(images),
            inputs={name: histogram(values) for name, values in described.items()},
            confidence=histogram(answers(images).max(axis=1).astype(float)),
            classes=dict.fromkeys(LABELS, 2),
        ),
    )
