"""v2 gRPC: kserve's protocol and servicer, with our inference and no way to load or unload a model.

A message becomes the same v2 object that REST parses, so that both give the same verdict. May import kserve.
"""

import struct
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs
from grpc import aio, unary_unary_rpc_method_handler
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.servicer import InferenceServicer

from serving import codec
from serving.codec import Answer, Output
from serving.errors import STATUS, InvalidInputError, RequestError, UnsupportedError
from serving.monitor import unforeseen, watch
from serving.predictor import Plane
from serving.tensors import decoded

#: Where a message keeps the values of a datatype; FP16 has no place and travels raw.
CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class Servicer(InferenceServicer):  # type: ignore[misc]  # kserve has no type information
    """kserve's servicer, with our inference and closed repository calls."""

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane, None)
        self.predictor = plane.predictor

    async def ModelInfer(self, request: Any, _context: object) -> Any:  # noqa: N802  # named by the protocol
        """Answer a v2 inference request."""
        with watch("grpc") as visit:
            self.predictor.check(request.model_name, request.model_version)
            fields = read(request)
            visit.id = codec.request_id(fields, visit.id)
            answer = await self.predictor.answer(fields, visit.id)
            visit.rows = answer.rows
            return write(answer, raw=bool(request.raw_input_contents))

    async def RepositoryModelLoad(self, _request: object, _context: object) -> None:  # noqa: N802  # same
        """Refuse: what is served is decided when the process starts."""
        raise UnsupportedError("models are not loaded over the network; start a server with another package")

    async def RepositoryModelUnload(self, _request: object, _context: object) -> None:  # noqa: N802  # same
        """Refuse: what is served is decided when the process starts."""
        raise UnsupportedError("models are not unloaded over the network; stop the server instead")


class Refusals(aio.ServerInterceptor):  # type: ignore[misc]  # no type information
    """Turns every error of a call into its gRPC status, that of a message which does not parse included."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Wrap a method; every one of the protocol takes one message and gives one."""
        method = await continuation(details)
        if method is None:
            return None

        async def call(message: bytes, context: Any) -> Any:
            try:
                return await method.unary_unary(_parsed(method, message), context)
            except RequestError as error:
                refusal = error
            except Exception as error:  # noqa: BLE001  # the outermost frame of a call: whatever is left is our fault
                refusal = unforeseen(error, uuid4().hex)
            return await context.abort(STATUS[type(refusal)].grpc, str(refusal))

        return unary_unary_rpc_method_handler(call, response_serializer=method.response_serializer)


def build_server(plane: Plane, *, max_body_bytes: int) -> aio.Server:
    """Return a server that listens nowhere yet.

    Args:
        plane: What answers.
        max_body_bytes: The largest message that is read; gRPC itself refuses more with RESOURCE_EXHAUSTED.
    """
    options = [
        ("grpc.max_receive_message_length", max_body_bytes),
        # Otherwise a second server on the same port starts without a word and takes half of the calls.
        ("grpc.so_reuseport", 0),
    ]
    server = aio.server(interceptors=[Refusals()], options=options)
    add_GRPCInferenceServiceServicer_to_server(Servicer(plane), server)
    return server


def read(message: Any) -> dict[str, Any]:
    """Return a ModelInferRequest as the v2 JSON object, with raw contents as bytes.

    Raises:
        InvalidInputError: Raw contents are neither absent nor one for each input.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise InvalidInputError(
            f"{len(message.inputs)} inputs come with {len(raw)} raw contents; give one for each or none"
        )
    if raw and any(item.HasField("contents") for item in message.inputs):
        raise InvalidInputError("an input has contents beside raw contents; give one of them")
    values = list(raw) or [_values(item) for item in message.inputs]
    return {
        "id": message.id,
        "inputs": [
            {"name": item.name, "datatype": item.datatype, "shape": list(item.shape), "data": data}
            for item, data in zip(message.inputs, values, strict=True)
        ],
        "outputs": [{"name": item.name} for item in message.outputs],
    }


def write(answer: Answer, *, raw: bool) -> Any:
    """Return an answer as a ModelInferResponse.

    Args:
        answer: What to write.
        raw: Whether the client sent raw contents and so gets them; FP16 is always raw.
    """
    raw = raw or any(output.datatype not in CONTENTS for output in answer.outputs)
    return pb.ModelInferResponse(
        model_name=answer.model_name,
        model_version=answer.model_version,
        id=answer.id,
        parameters={"package": pb.InferParameter(string_param=answer.package)},
        outputs=[
            pb.ModelInferResponse.InferOutputTensor(
                name=output.name,
                datatype=output.datatype,
                shape=output.array.shape,
                contents=None if raw else _contents(output),
            )
            for output in answer.outputs
        ],
        raw_output_contents=[_raw(output) for output in answer.outputs] if raw else None,
    )


def _parsed(method: Any, message: bytes) -> Any:
    try:
        return method.request_deserializer(message)
    except DecodeError:
        raise InvalidInputError(
            "the message does not parse; send what the v2 protocol defines for this method"
        ) from None


def _values(item: Any) -> list[Any] | None:
    field = CONTENTS.get(item.datatype)
    values = list(getattr(item.contents, field)) if field else None
    return decoded(item.name, values).tolist() if values and item.datatype == "BYTES" else values


def _contents(output: Output) -> Any:
    values = output.array.ravel().tolist()
    if output.datatype == "BYTES":
        values = [value.encode() for value in values]
    return pb.InferTensorContents(**{CONTENTS[output.datatype]: values})


def _raw(output: Output) -> bytes:
    if output.datatype != "BYTES":
        return np.ascontiguousarray(output.array, output.array.dtype.newbyteorder("<")).tobytes()
    texts = [value.encode() for value in output.array.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
