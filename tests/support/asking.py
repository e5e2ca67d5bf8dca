"""Ways to ask a running predictor: one kept-alive REST connection, gRPC messages, and one request in every form.

Nothing here opens a second connection: a server that closes the first one fails the test.
"""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from modelpackage.signature import NUMPY_TYPES
from serving.codec.binary import LENGTH_HEADER, raw, raw_texts
from serving.errors import STATUS
from serving.rpc.convert import CONTENTS
from serving.rpc.messages import pb

SERVICE = "inference.GRPCInferenceService"
JSON = {"content-type": "application/json"}
#: Where several share a gRPC status, the first of the table: INVALID_ARGUMENT is 400.
HTTP_OF = {status.grpc: int(status.http) for status in reversed(STATUS.values())}


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def fields(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of a refusal, which is all that its body holds."""
        fields = self.fields
        assert list(fields) == ["error"], fields
        return fields["error"]


class Line:
    """One REST connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.connect()
        self._connection.auto_open = 0

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON) -> Reply:
        self._connection.request(method, path, body, dict(headers))
        answer = self._connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def post(self, path: str, fields: Any) -> Reply:
        return self.ask("POST", path, json.dumps(fields).encode())

    def close(self) -> None:
        self._connection.close()


@contextmanager
def line(server: Any) -> Iterator[Line]:
    made = Line(server.ready["http_port"])
    yield made
    made.close()


class Rpc:
    """One gRPC channel, without a stub: messages and bytes go to any method."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def call(self, method: str, message: Any, service: str = SERVICE) -> bytes:
        content = message if isinstance(message, bytes) else message.SerializeToString()
        return self._channel.unary_unary(f"/{service}/{method}")(content, timeout=20)

    def infer(self, message: Any) -> Any:
        return pb.ModelInferResponse.FromString(self.call("ModelInfer", message))

    def refusal(self, message: Any, method: str = "ModelInfer", service: str = SERVICE) -> tuple[Any, str]:
        try:
            self.call(method, message, service)
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise AssertionError("the call was answered")


@contextmanager
def rpc(server: Any) -> Iterator[Rpc]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield Rpc(channel)


def content(item: Mapping[str, Any]) -> bytes:
    """The values of a tensor as raw bytes."""
    if item["datatype"] == "BYTES":
        return raw_texts([text if isinstance(text, bytes) else text.encode() for text in item["data"]])
    with np.errstate(over="ignore"):
        return raw(item["datatype"], np.array(item["data"], NUMPY_TYPES[item["datatype"]]))


def binary(fields: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a request with all its tensors raw."""
    inputs, tail = [], []
    for item in fields["inputs"]:
        tail.append(content(item))
        parameters = {**item.get("parameters", {}), "binary_data_size": len(tail[-1])}
        inputs.append({key: value for key, value in item.items() if key != "data"} | {"parameters": parameters})
    head = json.dumps({**fields, "inputs": inputs}).encode()
    headers = {"content-type": "application/octet-stream", LENGTH_HEADER: str(len(head))}
    return b"".join((head, *tail)), headers


def message(fields: Mapping[str, Any], *, model: str, raw_contents: bool = False) -> Any:
    """The same request as a gRPC message, its values typed or raw."""
    built = pb.ModelInferRequest(model_name=model, id=fields.get("id", ""))
    for item in fields["inputs"]:
        tensor = built.inputs.add(name=item["name"], datatype=item["datatype"], shape=item["shape"])
        if raw_contents:
            built.raw_input_contents.append(content(item))
        else:
            text = item["datatype"] == "BYTES"
            values = [each.encode() if text and isinstance(each, str) else each for each in item["data"]]
            getattr(tensor.contents, CONTENTS[item["datatype"]]).extend(values)
    for item in fields.get("outputs", []):
        built.outputs.add(name=item["name"])
    for name, value in fields.get("parameters", {}).items():
        built.parameters[name].string_param = str(value)
    return built


def each(function: Any, items: list[Any]) -> None:
    """Call a function with each item at the same time; an error in one is an error of all."""
    errors: list[BaseException] = []
    gate = threading.Barrier(len(items))

    def run(item: Any) -> None:
        try:
            gate.wait(20)
            function(item)
        except BaseException as error:  # noqa: BLE001  # raised again below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
