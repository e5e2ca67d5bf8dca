"""The tiny model, but that one value in an image makes its scores NaN."""

from pathlib import Path

import numpy as np
import onnx
import tiny
from onnx import helper, numpy_helper

from modelpackage import Package

#: In no image of the examples.
POISON = 13.5


def graph() -> bytes:
    """The model as an ONNX graph."""
    model = onnx.load_from_string(tiny.graph())
    model.graph.node[0].input[0] = "poisoned"
    model.graph.node.insert(0, helper.make_node("Where", ["found", "nan", "image"], ["poisoned"]))
    model.graph.node.insert(0, helper.make_node("Equal", ["image", "poison"], ["found"]))
    for name, value in (("poison", POISON), ("nan", np.nan)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    return model.SerializeToString(deterministic=True)


def seal(directory: Path) -> Package:
    """Seal the model."""
    return tiny.seal(directory, graph=graph())
