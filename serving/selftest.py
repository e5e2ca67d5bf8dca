"""``python -m serving --self-test``: proves that this installation can serve, with nothing from outside.

Starts a real server on free ports of loopback, asks it over REST and gRPC, holds the answers against the golden
examples of its package, and ends it as an orchestrator would. Refuses a package as the server does. Only ``__main__``
may import it.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

import grpc
import numpy as np

from modelpackage import Golden, Package, PackageError, load
from serving.codec.binary import raw
from serving.metadata import example
from serving.rpc.messages import pb

#: A package of three kilobytes that every installation has.
SAMPLE = Path(__file__).with_name("sample")
#: The longest that the server may take to be ready, an answer, and the end.
SECONDS = 60.0
#: Golden rows that are asked: a request of pictures must not outgrow the server's limit.
ROWS = 2


class SelfTestError(Exception):
    """The server does not do what it must; the message says what it did."""


def self_test(path: Path, environment: Mapping[str, str]) -> int:
    """Prove this installation; return 0 if it works, else 1 after one line on standard error.

    Args:
        path: The package to serve.
        environment: For the server.
    """
    began = time.monotonic()
    try:
        package = load(path)
        with _server(package, environment) as ready:
            ask_rest(package, ready["http_port"])
            ask_grpc(package, ready["grpc_port"])
    except (PackageError, SelfTestError, OSError, HTTPException, grpc.RpcError) as error:
        sys.stderr.write(f"self-test failed: {' '.join(str(error).split())}\n")
        return 1
    sys.stdout.write(
        f"self-test passed in {time.monotonic() - began:.1f} s: {package.descriptor.name} sha256:{package.digest[:12]} "
        "was verified and proven, answered over REST and gRPC as it was sealed, and drained\n"
    )
    return 0


def ask_rest(package: Package, port: int) -> None:
    """Ask over REST with the example of the model's own metadata.

    Raises:
        SelfTestError: The answer is none, or of another package.
    """
    with closing(HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        connection.request("POST", f"/v2/models/{package.descriptor.name}/infer", json.dumps(example(package)))
        response = connection.getresponse()
        said = response.read().decode(errors="replace")
    if response.status != 200:  # noqa: PLR2004 (HTTP's OK)
        raise SelfTestError(f"REST answered {response.status}: {said}")
    answer = json.loads(said)
    (label,) = next(output["data"] for output in answer["outputs"] if output["name"] == "label")
    if answer["parameters"]["package"] != f"sha256:{package.digest}" or label not in package.descriptor.labels:
        raise SelfTestError(f"REST answered for another package: {said}")


def ask_grpc(package: Package, port: int) -> None:
    """Ask over gRPC with golden examples.

    Raises:
        GoldenError: The answers are not those that were sealed.
        RpcError: There is no answer.
    """
    golden = package.golden()
    few = Golden(inputs=_first(golden.inputs), outputs=_first(golden.outputs))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        few.check(
            lambda inputs: _outputs(infer(_message(package, inputs), timeout=SECONDS), package),
            package.descriptor.tolerance,
        )


def _first(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array[:ROWS] for name, array in arrays.items()}


def _message(package: Package, inputs: dict[str, Any]) -> Any:
    message = pb.ModelInferRequest(model_name=package.descriptor.name)
    for tensor in package.descriptor.signature.inputs:
        array = inputs[tensor.name]
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=array.shape)
        message.raw_input_contents.append(raw(tensor.datatype, array))
    for tensor in package.descriptor.signature.outputs:
        message.outputs.add(name=tensor.name)
    return message


def _outputs(answer: Any, package: Package) -> dict[str, Any]:
    types = {tensor.name: tensor.dtype for tensor in package.descriptor.signature.outputs}
    return {
        output.name: np.frombuffer(content, dtype=types[output.name]).reshape(output.shape)
        for output, content in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


@contextmanager
def _server(package: Package, environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Run a server until the block ends; yield its ready line."""
    own = {name: value for name, value in environment.items() if not name.startswith(("SLIPWAY_", "OTEL_"))}
    flags = ["--host", "127.0.0.1", "--http-port", "0", "--grpc-port", "0", "--drain-seconds", "0"]
    command = [sys.executable, "-m", "serving", "--package", str(package.path), *flags]
    with subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 (our own module)
        watchdog = threading.Timer(2 * SECONDS, process.kill)
        watchdog.start()
        try:
            yield _ready(process)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate()
        except BaseException:
            process.kill()
            raise
        finally:
            watchdog.cancel()
    if process.returncode or errors:
        raise SelfTestError(f"the server ended with {process.returncode} and said: {errors}")


def _ready(process: "subprocess.Popen[str]") -> dict[str, Any]:
    stdout: IO[str] | None = process.stdout
    for line in stdout or ():
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "ready":
            return event
    raise SelfTestError(f"the server did not start: {process.stderr.read() if process.stderr else ''}")
