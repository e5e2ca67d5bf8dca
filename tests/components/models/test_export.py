"""A network as clients see it: preprocessing and softmax inside, any number of rows, the same bytes each time."""

import numpy as np
import onnx
import onnxruntime
import pytest

from components.dataset import Rows, Scaling
from components.models.settings import MnistCnn

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models.export import Served, export  # noqa: E402 (needs torch)
from components.models.networks import build  # noqa: E402 (needs torch)

SHAPES = [("FP32", (8, 8)), ("UINT8", (8, 8)), ("UINT8", (8, 10, 3))]


def made(datatype: str, shape: tuple[int, ...]) -> tuple[Served, Rows]:
    rows = Rows(kind="image", labels=("a", "b", "c"), shape=shape, datatype=datatype, minimum=0.0, maximum=255.0)
    torch.manual_seed(0)
    scaling = Scaling(
        mean=(120.0, 110.0, 100.0)[: rows_channels(shape)], factor=(0.02, 0.01, 0.03)[: rows_channels(shape)]
    )
    return Served(build(MnistCnn(), rows), scaling), rows


def rows_channels(shape: tuple[int, ...]) -> int:
    return 3 if len(shape) == 3 else 1


def pictures(rows: Rows, count: int) -> np.ndarray:
    dtype = np.uint8 if rows.datatype == "UINT8" else np.float32
    return np.random.default_rng(count).integers(0, 256, (count, *rows.shape)).astype(dtype)


def test_scaling_is_that_of_preprocessing_and_channels_come_first():
    served, rows = made("UINT8", (8, 10, 3))
    raw = pictures(rows, 4)
    scaling = Scaling(mean=(120.0, 110.0, 100.0), factor=(0.02, 0.01, 0.03))
    scaled = served.scaled(torch.from_numpy(raw)).numpy()
    assert scaled.shape == (4, 3, 8, 10)
    np.testing.assert_array_equal(scaled, scaling.apply(raw).transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("datatype", "shape"), SHAPES)
def test_the_graph_answers_as_the_network_does_for_any_number_of_rows(datatype, shape):
    served, rows = made(datatype, shape)
    graph = export(served, rows)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for count in (1, 2, 7):
        raw = pictures(rows, count)
        (answers,) = session.run(["probabilities"], {"image": raw})
        with torch.inference_mode():
            native = served(torch.from_numpy(raw)).numpy()
        assert answers.shape == (count, 3)
        np.testing.assert_allclose(answers, native, atol=1e-5)
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_the_input_has_the_type_and_the_shape_of_raw_rows():
    graph = onnx.load_from_string(export(*made("UINT8", (8, 10, 3))))
    (image,) = graph.graph.input
    sizes = image.type.tensor_type.shape.dim
    assert image.name == "image"
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert not sizes[0].HasField("dim_value")
    assert [size.dim_value for size in sizes[1:]] == [8, 10, 3]


def test_equal_weights_give_equal_bytes_that_tell_nothing_of_this_machine():
    one, two = (export(*made("UINT8", (8, 8))) for _ in range(2))
    assert one == two
    assert b".py" not in one
    assert b"site-packages" not in one


def test_other_weights_give_other_bytes():
    served, rows = made("UINT8", (8, 8))
    one = export(served, rows)
    with torch.no_grad():
        next(served.network.parameters()).add_(1)
    assert export(served, rows) != one
