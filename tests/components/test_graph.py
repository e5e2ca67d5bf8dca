"""The front of a learner's graph gives bit for bit what the preprocessing in numpy gives."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from components.dataset import Splits
from components.encoding import Encoding, fit_encoding
from components.graph import FEATURES, PROBABILITIES, with_front
from components.models.made import MADE, made
from modelpackage import canonical_json

LEARNER = helper.make_graph([helper.make_node("Identity", [FEATURES], [PROBABILITIES])], "learner", [], [])


def features_of(splits: Splits, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """What the front hands to a learner; this one gives its features back."""
    session = onnxruntime.InferenceSession(with_front(splits, LEARNER), providers=["CPUExecutionProvider"])
    (features,) = session.run(None, inputs)
    return features


def assert_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found.tobytes() == expected.tobytes()


@pytest.fixture
def splits(request, tmp_path) -> Splits:
    return made(request.param, tmp_path / "splits")


def every_made(function):
    return pytest.mark.parametrize("splits", list(MADE), indirect=True)(function)


@every_made
@pytest.mark.parametrize("rows", [slice(0, 1), slice(0, 37)])
def test_features_of_the_graph_are_bit_for_bit_those_of_training(splits, rows):
    inputs = splits.part("test").inputs(rows)
    assert_bits(features_of(splits, inputs), splits.prepare(inputs))


@every_made
def test_the_graph_is_valid_and_takes_what_clients_send(splits):
    model = onnx.load_from_string(with_front(splits, LEARNER))
    onnx.checker.check_model(model)
    types = {"FP32": TensorProto.FLOAT, "UINT8": TensorProto.UINT8, "BYTES": TensorProto.STRING}
    assert [(put.name, put.type.tensor_type.elem_type) for put in model.graph.input] == [
        (tensor.name, types[tensor.datatype]) for tensor in splits.rows.tensors()
    ]
    assert [put.name for put in model.graph.output] == ["probabilities"]


@every_made
def test_the_same_data_gives_the_same_bytes(splits):
    assert with_front(splits, LEARNER) == with_front(Splits(splits.directory), LEARNER)


def table(tmp_path, encoding: Encoding, **changed) -> Splits:
    splits = made("table", tmp_path / "splits")
    splits.rows.model_copy(update=changed).save(splits.directory)
    (splits.directory / "preprocessing.json").write_bytes(canonical_json(encoding.model_dump(mode="json")))
    return Splits(splits.directory)


def test_values_that_training_rows_never_had_are_unknown_in_the_graph_too(tmp_path):
    splits = made("table", tmp_path / "splits")
    inputs = {
        "numbers": np.array([[np.nan] * 3, [1e30, -1e30, 0], [1e-40, 5, -0.0]], np.float32),
        "categories": np.array([["mauve", "yes"], ["", ""], ["ünïcødé 🚢", "x" * 1000]], object),
    }
    found = features_of(splits, inputs)
    assert_bits(found, splits.prepare(inputs))
    names = splits.preprocessing.feature_names()
    assert found[:, names.index("colour is (unknown)")].tolist() == [1, 0, 1]


def test_a_table_of_numbers_without_gaps_has_no_nodes_for_gaps(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    encoding = fit_encoding(values, np.empty((50, 0), object), ["height", "weight", "speed"], [])
    splits = table(tmp_path, encoding, categories=(), gaps=())
    model = onnx.load_from_string(with_front(splits, LEARNER))
    assert {node.op_type for node in model.graph.node} == {"Sub", "Mul", "Concat", "Identity"}
    assert_bits(features_of(splits, {"numbers": values}), encoding.apply({"numbers": values}))


def test_gaps_that_only_held_out_rows_have_are_filled_in_the_graph_too(tmp_path):
    values = np.arange(30, dtype=np.float32).reshape(10, 3)
    encoding = fit_encoding(values, np.empty((10, 0), object), ["height", "weight", "speed"], [])
    splits = table(tmp_path, encoding, categories=(), gaps=("weight",))
    inputs = {"numbers": np.array([[1, np.nan, 3]], np.float32)}
    assert_bits(features_of(splits, inputs), encoding.apply(inputs))


def test_a_table_of_text_alone_works_also_when_no_value_is_known(tmp_path):
    text = np.array([["a", "b"], ["c", "b"], ["d", "b"]], object)
    encoding = fit_encoding(np.empty((3, 0), np.float32), text, [], ["colour", "member"])
    splits = table(tmp_path, encoding, numbers=(), gaps=("colour",))
    inputs = {"categories": np.array([["", "b"], ["a", ""]], object)}
    assert features_of(splits, inputs).tolist() == encoding.apply(inputs).tolist() == [[1, 1, 0], [1, 0, 1]]
