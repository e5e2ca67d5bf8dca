"""Which part of a graph becomes integers, and that it still answers."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_network import Network

from components.errors import OptimizeError
from components.graph import run_graph
from components.models.made import made
from components.optimize.int8 import CALIBRATION_ROWS, _Calibration, check_quantizable, inner_nodes, quantize


def graph_of(*operators: str) -> onnx.GraphProto:
    """A chain of operators, each named after its place; those with weights have them."""
    nodes = [
        helper.make_node(operator, [f"t{n}", "w"] if operator in ("Conv", "Gemm", "MatMul") else [f"t{n}"],
                         [f"t{n + 1}"], name=f"{operator}-{n}")
        for n, operator in enumerate(operators)
    ]  # fmt: skip
    weights = numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    ends = [helper.make_tensor_value_info(f"t{n}", TensorProto.FLOAT, ["batch", 2]) for n in (0, len(operators))]
    return helper.make_graph(nodes, "chain", ends[:1], ends[1:], [weights])


def test_preprocessing_the_last_layer_and_the_softmax_stay_as_they_are():
    chain = graph_of("Neg", "MatMul", "Relu", "MatMul", "Relu", "MatMul", "Softmax")
    assert inner_nodes(chain) == ["MatMul-1", "Relu-2", "MatMul-3", "Relu-4"]


@pytest.mark.parametrize("operators", [("Neg", "MatMul", "Softmax"), ("Neg", "Softmax")])
def test_a_graph_of_one_layer_or_none_is_refused(operators):
    opset = helper.make_opsetid("", 18)
    graph = helper.make_model(graph_of(*operators), opset_imports=[opset]).SerializeToString()
    with pytest.raises(OptimizeError, match="no layers of weights before its last one.*serve the package as it is"):
        check_quantizable(graph)


def test_the_weights_are_int8_per_channel_and_the_ends_are_float(network: Network):
    variant = onnx.load_from_string(quantize(network.package.graph(), network.run.splits.part("train")))
    onnx.checker.check_model(variant)
    made_by = {output: node.op_type for node in variant.graph.node for output in node.output}
    layers = [node for node in variant.graph.node if node.op_type in ("Conv", "Gemm")]
    *inner, last = [made_by.get(layer.input[1], "constant") for layer in layers]
    assert inner == ["DequantizeLinear"] * 3
    assert last == "constant"
    assert variant.graph.node[-1].op_type == "Softmax"
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in variant.graph.initializer}
    weights = [array for array in constants.values() if array.dtype == np.int8 and array.ndim == 4]
    assert len(weights) == 2
    # Seven bits: two products fit into the 16 bits that older CPUs add them in.
    assert max(int(np.abs(array.astype(int)).max()) for array in weights) <= 64


def test_a_variant_answers_as_its_original_does(network: Network):
    splits, graph = network.run.splits, network.package.graph()
    batches = list(splits.part("test").batches())
    moved = run_graph(quantize(graph, splits.part("train")), batches) - run_graph(graph, batches)
    assert 0 < np.abs(moved).max() < 0.1


def test_calibration_reads_a_bounded_number_of_different_training_rows(network: Network):
    train = network.run.splits.part("train")
    reader = _Calibration(train)
    rows = np.concatenate([batch["image"] for batch in iter(reader.get_next, None)])
    assert len(rows) == CALIBRATION_ROWS < len(train)
    assert (rows[0] == train.x[0]).all() and (rows[-1] == train.x[-1]).all()


def test_what_onnx_runtime_can_not_quantise_is_one_error(network: Network, tmp_path):
    table = made("table", tmp_path / "table")
    with pytest.raises(OptimizeError, match="ONNX Runtime can't quantise this graph: .*image"):
        quantize(network.package.graph(), table.part("train"))
