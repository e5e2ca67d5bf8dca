"""A graph in, the same graph in 8-bit integers out: static quantisation by ONNX Runtime, calibrated on training rows.

Preprocessing, the last layer and the softmax stay in float32: they cost little and carry the probabilities. Refuses a
graph without layers to quantise. For ``components.optimize`` alone.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto

from components.dataset import Inputs, Part
from components.errors import OptimizeError

#: Layers that hold nearly all the arithmetic of a network, each with its weights as the second input.
LAYERS = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
#: Ranges hardly move with more rows, and calibration keeps seconds.
CALIBRATION_ROWS = 256
CALIBRATION_BATCH = 16


def check_quantizable(graph: bytes) -> None:
    """Prove that there is a layer to quantise.

    Raises:
        OptimizeError: There is none.
    """
    model = onnx.load_from_string(graph)
    if inner_nodes(model.graph):
        return
    trees = any(node.op_type.startswith("TreeEnsemble") for node in model.graph.node)
    found = "decides by trees, which compare and add up" if trees else "has no layers of weights before its last one"
    raise OptimizeError(f"this model {found}: there is nothing to quantise to int8; serve the package as it is")


def quantize(graph: bytes, train: Part) -> bytes:
    """Return the int8 variant of a graph; equal arguments give equal bytes.

    Weights are symmetric per channel, activations asymmetric per tensor. Weights have 7 bits: products of 8-bit ones
    overflow the 16-bit sums of x86 CPUs without VNNI, which would then give other answers than the ones judged here.

    Args:
        graph: Takes raw rows.
        train: The training rows; a few hundred are read, always the same.

    Raises:
        OptimizeError: ONNX Runtime can't.
    """
    try:
        return _quantize(graph, train)
    except Exception as error:  # noqa: BLE001 (ONNX Runtime's errors have no base of their own)
        reason = " ".join(str(error).split())
        raise OptimizeError(f"ONNX Runtime can't quantise this graph: {reason}; serve the package as it is") from None


def inner_nodes(graph: GraphProto) -> list[str]:
    """Return the names of the nodes from the first layer on, up to the last layer and without it."""
    constants = {tensor.name for tensor in graph.initializer}
    after: set[str] = set()
    for node in graph.node:
        if _is_layer(node, constants) or after & set(node.input):
            after |= set(node.output)
    before: set[str] = set()
    found = []
    for node in reversed(graph.node):
        feeds_a_layer = bool(before & set(node.output))
        if feeds_a_layer and after & set(node.output):
            found.append(node.name)
        if feeds_a_layer or _is_layer(node, constants):
            before |= set(node.input)
    return found[::-1]


def calibration_rows(rows: int) -> int:
    """Return how many of so many training rows calibration reads."""
    return min(rows, CALIBRATION_ROWS)


class _Calibration:
    """Evenly spaced training rows, as ONNX Runtime asks for them."""

    def __init__(self, train: Part) -> None:
        self._batches = self._read(train)

    @staticmethod
    def _read(train: Part) -> Iterator[Inputs]:
        rows = np.linspace(0, len(train) - 1, calibration_rows(len(train))).astype(np.int64)
        for start in range(0, len(rows), CALIBRATION_BATCH):
            yield train.inputs(rows[start : start + CALIBRATION_BATCH])

    def get_next(self) -> Inputs | None:
        return next(self._batches, None)


def _quantize(graph: bytes, train: Part) -> bytes:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        given, prepared, target = (Path(scratch) / f"{name}.onnx" for name in ("given", "prepared", "int8"))
        given.write_bytes(graph)
        # Folds batch norms into their convolutions, and tells the type of every tensor.
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        model = _named(onnx.load(prepared))
        quantize_static(
            model,
            target,
            _Calibration(train),
            quant_format=QuantFormat.QDQ,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_quantize=inner_nodes(model.graph),
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        quantized: bytes = onnx.load(target).SerializeToString(deterministic=True)
    return quantized


def _is_layer(node: NodeProto, constants: set[str]) -> bool:
    return node.op_type in LAYERS and len(node.input) > 1 and node.input[1] in constants


def _named(model: ModelProto) -> ModelProto:
    """Give every node the name that it is chosen by; exporters may leave it out."""
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    return model
