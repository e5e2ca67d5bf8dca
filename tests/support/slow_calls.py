"""Requests of the slow model by REST and gRPC, each in a thread of its own so that several are on their way."""

import json
from concurrent.futures import Future, ThreadPoolExecutor

import grpc
import slow
from wire import Answer, Wire, post

from serving.rpc.messages import pb

METHODS = "/inference.GRPCInferenceService"
pool = ThreadPoolExecutor(32)


def rest(port: int, first: float, request_id: str = "7") -> Future[Answer]:
    """Ask over REST."""

    def ask() -> Answer:
        with Wire(port) as wire:
            return wire.ask(post(json.dumps(slow.fields(first, request_id=request_id)).encode()))

    return pool.submit(ask)


def infer(channel: grpc.Channel, first: float, seconds: float = 15, **fields: str) -> grpc.Future:
    """Ask over gRPC; can be cancelled."""
    message = pb.ModelInferRequest(model_name="tiny", **fields)
    tensor = message.inputs.add(name="image", datatype="FP32", shape=[1, 2, 2])
    tensor.contents.fp32_contents.extend([first, 2, 3, 4])
    method = channel.unary_unary(f"{METHODS}/ModelInfer", pb.ModelInferRequest.SerializeToString,
                                 pb.ModelInferResponse.FromString)  # fmt: skip
    return method.future(message, timeout=seconds)


def is_ready(channel: grpc.Channel) -> bool:
    """What ``ServerReady`` and the health service say, which is the same."""
    method = channel.unary_unary(f"{METHODS}/ServerReady", pb.ServerReadyRequest.SerializeToString,
                                 pb.ServerReadyResponse.FromString)  # fmt: skip
    health = channel.unary_unary("/grpc.health.v1.Health/Check")
    said = method(pb.ServerReadyRequest(), timeout=10).ready
    assert health(b"", timeout=10) == (b"\x08\x01" if said else b"\x08\x02")
    return said
