import asyncio
import sys
from contextlib import ExitStack

import asking
import grpc
import kserve
import numpy as np
import pytest
import tiny
import tiny_picture
import tiny_table
from wire import LIVE, Wire, eventually, metrics, post

from serving.rpc.messages import pb

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1.0, 2.0, 3.0, 4.0]}
GOOD = {"id": "7", "inputs": [IMAGE]}
SCORES = tiny.answers(np.float32([[[1, 2], [3, 4]]]))[0]
HEALTH = "grpc.health.v1.Health"
INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture(scope="module")
def rpc(server):
    with asking.rpc(server) as kept:
        yield kept


@pytest.fixture(scope="module")
def table_rpc(table_server):
    with asking.rpc(table_server) as kept:
        yield kept


@pytest.fixture(scope="module")
def picture_rpc(picture_server):
    with asking.rpc(picture_server) as kept:
        yield kept


def test_typed_contents_are_answered_with_typed_contents(rpc, sealed):
    answer = rpc.infer(asking.message(GOOD, model="tiny"))
    assert (answer.id, answer.model_name, answer.model_version) == ("7", "tiny", sealed.digest[:12])
    assert answer.parameters["package"].string_param == f"sha256:{sealed.digest}"
    assert list(answer.outputs[0].contents.fp32_contents) == pytest.approx(SCORES.tolist(), abs=1e-6)
    assert list(answer.outputs[1].contents.bytes_contents) == [b"right"]
    assert list(answer.outputs[2].contents.fp32_contents) == [max(answer.outputs[0].contents.fp32_contents)]
    assert not answer.raw_output_contents


def test_raw_contents_are_answered_with_raw_contents(rpc):
    answer = rpc.infer(asking.message({"inputs": [IMAGE]}, model="tiny", raw_contents=True))
    np.testing.assert_allclose(np.frombuffer(answer.raw_output_contents[0], "<f4"), SCORES, atol=1e-6)
    assert answer.raw_output_contents[1] == b"\5\0\0\0right"
    assert not answer.outputs[0].HasField("contents")
    assert len(answer.id) == 32


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


def test_a_row_of_too_little_confidence_gets_no_label(rpc):
    def ask(**value):
        message = asking.message(GOOD, model="tiny")
        for field, given in value.items():
            setattr(message.parameters["min_confidence"], field, given)
        answer = rpc.infer(message)
        return answer.outputs[1].contents.bytes_contents[0], answer.parameters["abstained"].int64_param

    assert ask(string_param="0.5") == (b"right", 0)
    assert ask(string_param="0.7") == (b"", 1)
    assert ask(int64_param=1) == (b"", 1)


def test_the_version_of_the_package_may_be_named(rpc, sealed):
    message = asking.message(GOOD, model="tiny")
    message.model_version = sealed.digest[:12]
    assert rpc.infer(message).id == "7"


def test_the_server_says_what_it_is(rpc):
    assert pb.ServerLiveResponse.FromString(rpc.call("ServerLive", b"")).live
    assert pb.ServerReadyResponse.FromString(rpc.call("ServerReady", b"")).ready
    assert pb.ServerMetadataResponse.FromString(rpc.call("ServerMetadata", b"")).name == "slipway"
    ready = rpc.call("ModelReady", pb.ModelReadyRequest(name="tiny"))
    assert pb.ModelReadyResponse.FromString(ready).ready


def test_the_health_protocol_of_grpc_is_there(rpc):
    service = b"inference.GRPCInferenceService"
    for request in (b"", b"\n" + bytes([len(service)]) + service):
        assert rpc.call("Check", request, HEALTH) == b"\x08\x01"
    assert rpc.refusal(b"\n\x01x", "Check", HEALTH)[0] is NOT_FOUND
    assert rpc.refusal(b"\xff", "Check", HEALTH)[0] is NOT_FOUND
    assert rpc.refusal(b"", "Watch", HEALTH)[0] is grpc.StatusCode.UNIMPLEMENTED


def test_no_model_is_loaded_or_unloaded_over_the_network(rpc):
    for method, message in (
        ("RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="tiny")),
        ("RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="tiny")),
    ):
        code, details = rpc.refusal(message, method)
        assert (code, "over the network" in details) == (grpc.StatusCode.UNIMPLEMENTED, True)
    assert rpc.infer(asking.message(GOOD, model="tiny")).id == "7"


def test_another_model_or_version_is_not_found(rpc):
    for kind, method in ((pb.ModelReadyRequest, "ModelReady"), (pb.ModelMetadataRequest, "ModelMetadata")):
        for other in (kind(name="x"), kind(name="tiny", version="1"), kind()):
            assert rpc.refusal(other, method)[0] is NOT_FOUND
        assert rpc.refusal(b"\xff\xff", method)[0] is INVALID


def test_a_message_of_exactly_the_limit_is_read_and_refused_beyond(rpc):
    limit = 65_536 + (1 << 16)
    small = asking.message(GOOD, model="tiny").SerializeToString()
    for size, code in ((limit, None), (limit + 1, grpc.StatusCode.RESOURCE_EXHAUSTED)):
        # A field that the message does not know, of three bytes for its length.
        filled = small + b"\xfa\x3f" + _varint(size - len(small) - 5) + bytes(size - len(small) - 5)
        assert len(filled) == size
        if code is None:
            assert rpc.infer(filled).id == "7"
        else:
            assert rpc.refusal(filled)[0] is code


def test_a_compressed_message_is_not_unpacked(launch, sealed):
    start, stop = launch
    server = start(sealed.path)
    with grpc.insecure_channel(server.grpc, compression=grpc.Compression.Gzip) as channel:
        bomb = asking.message({"inputs": [IMAGE | {"shape": [10**6, 2, 2], "data": []}]}, model="tiny")
        bomb.raw_input_contents.append(bytes(16 * 10**6))
        assert asking.Rpc(channel).refusal(bomb)[0] is grpc.StatusCode.UNIMPLEMENTED
    with asking.rpc(server) as plain:
        assert plain.infer(asking.message(GOOD, model="tiny")).id == "7"
    assert stop(server)[0] == 0


def unread(size):
    """A request with a field of so many bytes that the message does not know."""
    return asking.message(GOOD, model="tiny").SerializeToString() + b"\xfa\x3f" + _varint(size) + bytes(size)


def test_a_message_beyond_the_memory_is_refused_and_small_ones_are_answered(launch, sealed):
    start, stop = launch
    server = start(sealed.path, "--max-pending-bytes", "200000")
    body = b"POST /v2/models/tiny/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 150001\r\n\r\n" + b" " * 150_000
    port = server.ready["http_port"]
    with asking.rpc(server) as rpc:
        assert rpc.infer(unread(100_000)).id == "7"
        with Wire(port).send(body):
            assert eventually(lambda: metrics(port)["slipway_pending_bytes"] == 150_000)
            code, details = rpc.refusal(unread(100_000))
            assert (code, details.startswith("the requests in work fill the memory")) == (UNAVAILABLE, True)
            assert rpc.infer(unread(60_000)).id == "7"
        assert eventually(lambda: metrics(port)["slipway_pending_bytes"] == 0)
        assert rpc.infer(unread(100_000)).id == "7"
    assert stop(server)[0] == 0


def test_silent_connections_leave_files_for_everybody_else(launch, sealed, tmp_path):
    start, stop = launch
    few = tmp_path / "python"
    few.write_text(f'#!/bin/sh\nulimit -n 512\nexec "{sys.executable}" "$@"\n')
    few.chmod(0o755)
    server = start(sealed.path, python=str(few))
    with ExitStack() as stack:
        for _ in range(600):
            stack.enter_context(Wire(server.ready["grpc_port"]))
        with Wire(server.ready["http_port"]) as wire:
            assert wire.ask(LIVE).status == 200
            assert wire.ask(post()).status == 200
    with asking.rpc(server) as rpc:
        assert eventually(lambda: answered(rpc))
    code, _, errors = stop(server)
    assert (code, errors) == (0, "")


def answered(rpc):
    try:
        return rpc.infer(asking.message(GOOD, model="tiny")).id == "7"
    except grpc.RpcError:  # those that left are still counted
        return False


def test_a_cancelled_call_harms_no_other(server, rpc):
    with grpc.insecure_channel(server.grpc) as channel:
        send = channel.unary_unary(f"/{asking.SERVICE}/ModelInfer")
        content = asking.message(GOOD, model="tiny").SerializeToString()
        for call in [send.future(content) for _ in range(20)]:
            call.cancel()
    assert rpc.infer(asking.message(GOOD, model="tiny")).id == "7"


def test_a_header_like_id_stays_in_the_message(server):
    with grpc.insecure_channel(server.grpc) as channel:
        send = channel.unary_unary(f"/{asking.SERVICE}/ModelInfer")
        content = asking.message(GOOD | {"id": "a\r\nb: c"}, model="tiny").SerializeToString()
        answer, call = send.with_call(content)
        metadata = [*call.initial_metadata(), *call.trailing_metadata()]
    assert pb.ModelInferResponse.FromString(answer).id == "a\r\nb: c"
    assert not [pair for pair in metadata if "\n" in str(pair[1]) or pair[0] == "b"]


NUMBERS = {"name": "numbers", "datatype": "FP32", "shape": [4, 2], "data": tiny_table.NUMBERS.ravel().tolist()}
TOWNS = {"name": "categories", "datatype": "BYTES", "shape": [4, 1], "data": tiny_table.TEXT.ravel().tolist()}
COLUMNS = [
    {"name": "age", "datatype": "FP64", "shape": [4], "data": tiny_table.NUMBERS[:, 0].tolist()},
    {"name": "visits", "datatype": "FP32", "shape": [4, 1], "data": tiny_table.NUMBERS[:, 1].tolist()},
    {"name": "town", "datatype": "BYTES", "shape": [4], "data": tiny_table.TEXT.ravel().tolist()},
]


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("inputs", [[NUMBERS, TOWNS], COLUMNS], ids=["tensors", "columns"])
def test_text_and_gaps_are_taken(table_rpc, inputs, raw):
    answer = table_rpc.infer(asking.message({"inputs": inputs}, model="tiny-table", raw_contents=raw))
    first = answer.outputs[0].contents.fp32_contents
    scores = np.frombuffer(answer.raw_output_contents[0], "<f4") if raw else np.float32(first)
    np.testing.assert_allclose(scores, tiny_table.answers().ravel(), atol=1e-6)


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize(
    ("numbers", "towns", "told"),
    [
        ({}, {"data": [b"a", b"b", b"c", b"\xff"]}, "input 'categories' holds bytes that are no UTF-8"),
        ({}, {"data": [b"a", b"b", b"c", b"\0"]}, "input 'categories' holds a text with U+0000"),
        ({"data": [float("inf")] * 8}, {}, "input 'numbers' holds NaN or infinite values"),
        ({}, {"shape": [3, 1], "data": [b"a"] * 3}, "the inputs differ in their number of rows"),
    ],
)
def test_text_and_numbers_that_do_not_fit_are_refused(table_rpc, raw, numbers, towns, told):
    fields = {"inputs": [NUMBERS | numbers, TOWNS | towns]}
    code, details = table_rpc.refusal(asking.message(fields, model="tiny-table", raw_contents=raw))
    assert (code, details.startswith(told)) == (INVALID, True), details


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_a_length_of_text_that_lies_is_refused(table_rpc, raw):
    message = asking.message({"inputs": [NUMBERS, TOWNS]}, model="tiny-table", raw_contents=True)
    if raw:
        message.raw_input_contents[1] = b"\xff\xff\xff\xff" + message.raw_input_contents[1][4:]
    else:
        message.raw_input_contents[1] = message.raw_input_contents[1][:-1]
    assert "which are not 4 elements" in table_rpc.refusal(message)[1]


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_a_picture_is_answered_like_its_pixels(picture_rpc, raw):
    pixels = tiny_picture.pixels(2, seed=6)
    files = [tiny_picture.encoded(each) for each in pixels]
    encoded = {"name": "image", "datatype": "BYTES", "shape": [2], "data": files}
    plain = {"name": "image", "datatype": "UINT8", "shape": [2, 5, 3, 3], "data": pixels.ravel().tolist()}
    answers = [
        picture_rpc.infer(asking.message({"id": "7", "inputs": [item]}, model="tiny-picture", raw_contents=raw))
        for item in (encoded, plain)
    ]
    assert answers[0] == answers[1]
    broken = asking.message({"inputs": [encoded | {"data": [files[0], b"x"]}]}, model="tiny-picture", raw_contents=raw)
    code, details = picture_rpc.refusal(broken)
    assert (code, details.startswith("picture 2 of input 'image'")) == (INVALID, True)


def _varint(number):
    found = b""
    while number > 127:
        found += bytes([number % 128 + 128])
        number //= 128
    return found + bytes([number])
