"""The gRPC server: v2 inference and metadata, and grpc.health.v1 for probes.

Every refusal has the status and the sentence that REST has. There is no way to load or unload a model.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs
from grpc import aio

from serving import metadata
from serving.codec.answer import Scores
from serving.codec.query import Query
from serving.errors import (
    STATUS,
    DisconnectedError,
    InvalidInputError,
    NotReadyError,
    OverloadedError,
    RequestError,
    UnknownModelError,
    UnsupportedError,
)
from serving.monitoring.monitor import Monitor, known
from serving.predictor import Outcome, Predictor
from serving.rpc.convert import read, write
from serving.rpc.messages import pb
from serving.settings import SMALL_BYTES, Settings

SERVICE, HEALTH = "inference.GRPCInferenceService", "grpc.health.v1.Health"
#: grpc.health.v1.HealthCheckResponse with status SERVING and NOT_SERVING.
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
#: grpc.health.v1.HealthCheckRequest about the whole server, and about its service.
CHECKS = (b"", b"\n" + bytes([len(SERVICE)]) + SERVICE.encode())
#: Bytes of a message that are no values: names, shapes and lengths.
MESSAGE_OVERHEAD = 1 << 16
#: Within which a client must begin to speak HTTP/2, and how long it may then call nothing.
HANDSHAKE_SECONDS, IDLE_SECONDS = 5, 300
#: Calls of one connection at one time; more wait at their client.
MAX_STREAMS = 128
#: Calls beyond those that may wait: whose message is on its way, that are being refused, probes. gRPC itself refuses
#: more with RESOURCE_EXHAUSTED.
SPARE_CALLS = 4096
Method = Callable[[bytes, Any], Awaitable[Any]]


class Methods:
    """The methods of the service, each from bytes to a message.

    Args:
        predictor: What answers.
        monitor: Who is told.
        settings: Limits.
    """

    def __init__(self, predictor: Predictor, monitor: Monitor, settings: Settings) -> None:
        self._predictor, self._monitor, self._settings = predictor, monitor, settings
        described = metadata.model(predictor)
        self._metadata = {
            "name": described["name"],
            "versions": described["versions"],
            "platform": described["platform"],
            "inputs": [_bare(tensor) for tensor in described["inputs"]],
            "outputs": [_bare(tensor) for tensor in described["outputs"]],
        }

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return all methods for a server."""
        v2 = {
            "ServerLive": self._plain(pb.ServerLiveRequest, lambda _: pb.ServerLiveResponse(live=True)),
            "ServerReady": self._plain(
                pb.ServerReadyRequest, lambda _: pb.ServerReadyResponse(ready=self._predictor.inviting)
            ),
            "ServerMetadata": self._plain(
                pb.ServerMetadataRequest, lambda _: pb.ServerMetadataResponse(**metadata.server())
            ),
            "ModelReady": self._plain(pb.ModelReadyRequest, self._ready),
            "ModelMetadata": self._plain(pb.ModelMetadataRequest, self._model_metadata),
            "RepositoryModelLoad": self._plain(pb.RepositoryModelLoadRequest, _repository),
            "RepositoryModelUnload": self._plain(pb.RepositoryModelUnloadRequest, _repository),
            "ModelInfer": self._infer,
        }
        return [
            grpc.method_handlers_generic_handler(SERVICE, {name: _handler(method) for name, method in v2.items()}),
            grpc.method_handlers_generic_handler(HEALTH, {"Check": grpc.unary_unary_rpc_method_handler(self._check)}),
        ]

    async def _infer(self, content: bytes, context: Any) -> Any:
        headers = dict(context.invocation_metadata() or ()) if self._monitor.traced else {}
        visit = self._monitor.begin("grpc", f"{SERVICE}/ModelInfer", headers)
        error: RequestError | None = DisconnectedError("the client left before its answer was ready")
        memory, taken = self._predictor.memory, 0
        try:
            self._predictor.admit()
            if len(content) > SMALL_BYTES and not memory.fits(len(content)):
                # Raised to where all errors go.
                raise OverloadedError("the requests in work fill the memory; try again in a second")  # noqa: TRY301
            taken = len(content)
            memory.take(taken)
            message = pb.ModelInferRequest()
            query, scores = await self._submit(message, content, visit, context.time_remaining())
            writer = self._predictor.writer
            answer = write(writer.answer(query, scores), writer, raw_contents=bool(message.raw_input_contents))
            error = None
        except Exception as failure:  # noqa: BLE001  # whatever it is, the client gets a status
            error = known(failure, visit.request_id)
        finally:  # before the client hears of it: whoever then reads the metrics finds the call counted
            memory.take(-taken)
            self._monitor.end(visit, error)
        return await _abort(context, error) if error else answer

    async def _submit(self, message: Any, content: bytes, visit: Any, seconds: float | None) -> tuple[Query, Scores]:
        """Parse a call's content into the message and wait for the graph; a cancelled call takes its request along."""
        future: asyncio.Future[tuple[Query, Scores]] = asyncio.get_running_loop().create_future()

        def fields() -> dict[str, Any]:
            _parse(message, content)
            self._predictor.check(message.model_name, message.model_version)
            return read(message)

        def done(outcome: Outcome) -> None:
            if future.cancelled():
                return
            if isinstance(outcome, RequestError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        ticket = self._predictor.submit(fields, visit, done, size=len(content), seconds=seconds)
        try:
            return await future
        finally:
            ticket.cancel()

    def _plain(self, kind: Any, answer: Callable[[Any], Any]) -> Method:
        async def method(content: bytes, context: Any) -> Any:
            try:
                return answer(_parse(kind(), content))
            except Exception as failure:  # noqa: BLE001  # whatever it is, the client gets a status
                error = known(failure, uuid4().hex)
                self._monitor.refused(error)
                return await _abort(context, error)

        return method

    def _ready(self, message: Any) -> Any:
        self._predictor.check(message.name, message.version)
        return pb.ModelReadyResponse(ready=self._predictor.inviting)

    def _model_metadata(self, message: Any) -> Any:
        self._predictor.check(message.name, message.version)
        if not self._predictor.ready:
            raise NotReadyError(f"{self._predictor.name!r} is not ready; try again later")
        return pb.ModelMetadataResponse(**self._metadata)

    async def _check(self, content: bytes, context: Any) -> bytes:
        if content not in CHECKS:
            await _abort(context, UnknownModelError(f"there is no such service; leave it out or ask for {SERVICE}"))
        return SERVING if self._predictor.inviting else NOT_SERVING


def build_server(predictor: Predictor, monitor: Monitor, settings: Settings) -> aio.Server:
    """Return a server that listens nowhere yet.

    Args:
        predictor: What answers.
        monitor: Who is told.
        settings: Limits; gRPC itself refuses a larger message with RESOURCE_EXHAUSTED.
    """
    options = [
        ("grpc.max_receive_message_length", settings.max_body_bytes + MESSAGE_OVERHEAD),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", settings.max_header_bytes),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        # Connections on which nothing comes would take the files that others need.
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_SECONDS * 1000),
        ("grpc.max_connection_idle_ms", IDLE_SECONDS * 1000),
        # A compressed message is unpacked before its size is known.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        # Otherwise a second server on the same port starts without a word and takes half of the calls.
        ("grpc.so_reuseport", 0),
    ]
    server = aio.server(options=options, maximum_concurrent_rpcs=settings.max_queue + SPARE_CALLS)
    server.add_generic_rpc_handlers(tuple(Methods(predictor, monitor, settings).handlers()))
    return server


def _handler(method: Method) -> Any:
    return grpc.unary_unary_rpc_method_handler(method, response_serializer=lambda message: message.SerializeToString())


def _parse(message: Any, content: bytes) -> Any:
    try:
        message.ParseFromString(content)
    except DecodeError:
        raise InvalidInputError(
            "the message does not parse; send what the v2 protocol defines for this method"
        ) from None
    return message


def _repository(_message: Any) -> Any:
    raise UnsupportedError(
        "models are neither loaded nor unloaded over the network; start a server with another package"
    )


def _bare(tensor: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tensor[key] for key in ("name", "datatype", "shape")}


async def _abort(context: Any, error: RequestError) -> Any:
    return await context.abort(STATUS[type(error)].grpc, str(error))
