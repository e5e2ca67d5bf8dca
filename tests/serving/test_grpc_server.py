import asyncio
import json

import grpc
import httpx
import kserve
import numpy as np
import pytest
import tiny
import tiny_table
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from serving.codec import Answer, Output
from serving.errors import STATUS
from serving.grpc_server import write

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1.0, 2.0, 3.0, 4.0]}
FIELDS = {"FP32": "fp32_contents", "FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}
HTTP_OF = {status.grpc: status.http for status in STATUS.values()}


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield GRPCInferenceServiceStub(channel)


def message(fields, *, raw=False, **head):
    """The same request as a message; raw puts the values beside the tensors."""
    built = pb.ModelInferRequest(model_name="tiny", id=fields.get("id", ""))
    for key, value in head.items():
        setattr(built, key, value)
    for item in fields["inputs"]:
        tensor = built.inputs.add(name=item["name"], datatype=item["datatype"], shape=item["shape"])
        if raw:
            built.raw_input_contents.append(np.float32(item["data"]).tobytes())
        else:
            getattr(tensor.contents, FIELDS[item["datatype"]]).extend(item["data"])
    for item in fields.get("outputs", []):
        built.outputs.add(name=item["name"])
    return built


def refusal(stub, built, method="ModelInfer"):
    with pytest.raises(grpc.RpcError) as caught:
        getattr(stub, method)(built, timeout=5)
    return caught.value.code(), caught.value.details()


def test_typed_contents_are_answered_with_typed_contents(stub, sealed):
    answer = stub.ModelInfer(message({"id": "7", "inputs": [IMAGE]}))
    assert (answer.id, answer.model_name, answer.model_version) == ("7", "tiny", sealed.digest[:12])
    assert answer.parameters["package"].string_param == f"sha256:{sealed.digest}"
    scores = tiny.answers(np.float32([[[1, 2], [3, 4]]]))
    assert list(answer.outputs[0].contents.fp32_contents) == pytest.approx(scores.ravel().tolist(), abs=1e-6)
    assert list(answer.outputs[1].contents.bytes_contents) == [b"right"]
    assert not answer.raw_output_contents


def test_raw_contents_are_answered_with_raw_contents(stub):
    answer = stub.ModelInfer(message({"inputs": [IMAGE]}, raw=True))
    scores = tiny.answers(np.float32([[[1, 2], [3, 4]]]))
    np.testing.assert_allclose(np.frombuffer(answer.raw_output_contents[0], "<f4"), scores.ravel(), atol=1e-6)
    assert answer.raw_output_contents[1] == b"\5\0\0\0right"
    assert not answer.outputs[0].HasField("contents")
    assert len(answer.id) == 32


def test_a_datatype_without_typed_contents_is_written_raw():
    output = Output("y", "FP16", np.array([[1, 2]], np.float16))
    written = write(Answer("7", "tiny", "1", "sha256:0", (output,)), raw=False)
    assert written.raw_output_contents[0] == np.array([1, 2], "<f2").tobytes()


def test_the_client_of_kserve_gets_its_answer(server):
    async def ask():
        async with kserve.InferenceGRPCClient(server.grpc) as client:
            tensor = kserve.InferInput("image", [2, 2, 2], "FP32")
            tensor.set_data_from_numpy(tiny.rows(2))
            assert await client.is_server_ready()
            assert await client.is_server_live()
            assert await client.is_model_ready("tiny")
            return await client.infer(kserve.InferRequest("tiny", [tensor]))

    answer = asyncio.run(ask())
    np.testing.assert_allclose(answer.outputs[0].as_numpy(), tiny.answers(tiny.rows(2)), atol=1e-6)


def test_the_metadata_is_that_of_rest(stub, server):
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="tiny"))
    rest = httpx.get(f"{server.http}/v2/models/tiny").json()
    for role in ("inputs", "outputs"):
        found = [(item.name, item.datatype, list(item.shape)) for item in getattr(metadata, role)]
        assert found == [(item["name"], item["datatype"], item["shape"]) for item in rest[role]]
    assert stub.ServerMetadata(pb.ServerMetadataRequest()).name == "slipway"


def test_no_model_is_loaded_or_unloaded_over_the_network(stub):
    for method, request in (
        ("RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="tiny")),
        ("RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="tiny")),
    ):
        code, details = refusal(stub, request, method)
        assert code is grpc.StatusCode.UNIMPLEMENTED
        assert "over the network" in details
    assert stub.ModelReady(pb.ModelReadyRequest(name="tiny")).ready


def test_another_model_or_version_is_not_found(stub):
    for built in (message({"inputs": [IMAGE]}, model_name="x"), message({"inputs": [IMAGE]}, model_version="1")):
        assert refusal(stub, built)[0] is grpc.StatusCode.NOT_FOUND
    assert refusal(stub, pb.ModelReadyRequest(name="x"), "ModelReady")[0] is grpc.StatusCode.NOT_FOUND
    assert refusal(stub, pb.ModelMetadataRequest(name="x"), "ModelMetadata")[0] is grpc.StatusCode.NOT_FOUND


def test_raw_contents_must_be_one_for_each_input(stub):
    built = message({"inputs": [IMAGE]}, raw=True)
    built.raw_input_contents.append(b"")
    code, details = refusal(stub, built)
    assert (code, "1 inputs come with 2 raw contents" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    built = message({"inputs": [IMAGE]})
    built.raw_input_contents.append(np.float32(IMAGE["data"]).tobytes())
    code, details = refusal(stub, built)
    assert (code, "beside raw contents" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    built = message({"inputs": [IMAGE]}, raw=True)
    built.raw_input_contents[0] = b"123"
    assert "has 3 raw bytes" in refusal(stub, built)[1]


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe"])
def test_a_message_that_does_not_parse_is_the_clients_fault(server, garbage):
    with grpc.insecure_channel(server.grpc) as channel:
        send = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            send(garbage, timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith("the message does not parse; send ")


def test_a_message_over_the_limit_is_refused(stub):
    big = IMAGE | {"shape": [5000, 2, 2], "data": [0.0] * 20000}
    assert refusal(stub, message({"inputs": [big]}))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stub.ModelInfer(message({"inputs": [IMAGE]})).id


def table_request(*, raw: bool, numbers=tiny_table.NUMBERS, texts=None):
    texts = [text.encode() for text in tiny_table.TEXT.ravel()] if texts is None else texts
    built = pb.ModelInferRequest(model_name="tiny-table")
    number = built.inputs.add(name="numbers", datatype="FP32", shape=[4, 2])
    town = built.inputs.add(name="categories", datatype="BYTES", shape=[4, 1])
    if raw:
        framed = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
        built.raw_input_contents.extend([numbers.tobytes(), framed])
    else:
        number.contents.fp32_contents.extend(numbers.ravel().tolist())
        town.contents.bytes_contents.extend(texts)
    return built


@pytest.fixture(scope="module")
def table_stub(table_server):
    with grpc.insecure_channel(table_server.grpc) as channel:
        yield GRPCInferenceServiceStub(channel)


@pytest.mark.parametrize("raw", [False, True])
def test_text_and_gaps_are_taken_typed_and_raw(table_stub, raw):
    answer = table_stub.ModelInfer(table_request(raw=raw))
    if raw:
        scores = np.frombuffer(answer.raw_output_contents[0], "<f4")
    else:
        scores = np.float32(answer.outputs[0].contents.fp32_contents)
    np.testing.assert_allclose(scores, tiny_table.answers().ravel(), atol=1e-6)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"texts": [b"a", b"b", b"c", b"\xff"]}, "input 'categories' holds bytes that are no UTF-8"),
        ({"texts": [b"a", b"b", b"c", b"\0"]}, "input 'categories' holds a text with U+0000"),
        ({"numbers": np.full((4, 2), np.inf, np.float32)}, "input 'numbers' holds NaN or infinite values"),
    ],
)
def test_text_and_numbers_that_do_not_fit_are_refused(table_stub, raw, change, told):
    code, details = refusal(table_stub, table_request(raw=raw, **change))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith(told)


def test_the_metadata_of_a_table_shows_text(table_stub):
    inputs = table_stub.ModelMetadata(pb.ModelMetadataRequest(name="tiny-table")).inputs
    assert [(item.datatype, list(item.shape)) for item in inputs] == [("FP32", [-1, 2]), ("BYTES", [-1, 1])]


SAME = {
    "good": {"inputs": [IMAGE]},
    "two rows": {"inputs": [IMAGE | {"shape": [2, 2, 2], "data": [1.0] * 8}]},
    "one output": {"inputs": [IMAGE], "outputs": [{"name": "label"}]},
    "no inputs": {"inputs": []},
    "unknown input": {"inputs": [IMAGE | {"name": "picture"}]},
    "input twice": {"inputs": [IMAGE, IMAGE]},
    "unknown output": {"inputs": [IMAGE], "outputs": [{"name": "x"}]},
    "output twice": {"inputs": [IMAGE], "outputs": [{"name": "label"}, {"name": "label"}]},
    "wrong datatype": {"inputs": [IMAGE | {"datatype": "FP64"}]},
    "strings": {"inputs": [IMAGE | {"datatype": "BYTES", "data": []}]},
    "no shape": {"inputs": [IMAGE | {"shape": []}]},
    "wrong shape": {"inputs": [IMAGE | {"shape": [1, 4]}]},
    "no rows": {"inputs": [IMAGE | {"shape": [0, 2, 2], "data": []}]},
    "too many rows": {"inputs": [IMAGE | {"shape": [9, 2, 2], "data": [1.0] * 36}]},
    "huge shape": {"inputs": [IMAGE | {"shape": [2**62, 2, 2]}]},
    "too little data": {"inputs": [IMAGE | {"data": [1.0]}]},
    "too much data": {"inputs": [IMAGE | {"data": [1.0] * 5}]},
    "too small": {"inputs": [IMAGE | {"data": [1.0, 2.0, 3.0, -1.0]}]},
    "too large": {"inputs": [IMAGE | {"data": [1.0, 2.0, 3.0, 17.0]}]},
    "long id": {"id": "a" * 129, "inputs": [IMAGE]},
}


@pytest.mark.parametrize("fields", SAME.values(), ids=SAME)
def test_rest_and_grpc_give_the_same_verdict(stub, server, fields):
    rest = httpx.post(f"{server.http}/v2/models/tiny/infer", content=json.dumps({"id": "7"} | fields))
    try:
        answer = stub.ModelInfer(message({"id": "7"} | fields), timeout=5)
    except grpc.RpcError as error:
        assert (rest.status_code, rest.json()["error"]) == (HTTP_OF[error.code()], error.details())  # noqa: PT017  # verdict
        assert rest.status_code == 400
        assert len(error.details()) < 200  # noqa: PT017  # same
    else:
        assert rest.status_code == 200
        assert [item["name"] for item in rest.json()["outputs"]] == [item.name for item in answer.outputs]
        for ours, theirs in zip(rest.json()["outputs"], answer.outputs, strict=True):
            contents = theirs.contents
            values = list(contents.fp32_contents) or [value.decode() for value in contents.bytes_contents]
            expected = ours["data"] if ours["datatype"] == "BYTES" else pytest.approx(ours["data"], abs=1e-7)
            assert values == expected
            assert ours["shape"] == list(theirs.shape)
