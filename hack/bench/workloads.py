"""What is asked: packages with one input, and the request for each of them in the form of each protocol."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench.packages import ROOT, photograph
from numpy.typing import NDArray

import modelpackage

TITLES = {"W1": "W1 random forest, 4 floats", "W2": "W2 MNIST CNN, 784 floats", "W3": "W3 ResNet-18, one JPEG"}
JSON = {"Content-Type": "application/json"}
BUILD_SECONDS = 600
#: What the graph gives, under our name for it: asked for, so that we answer what the peers do and no label beside it.
WANTED = [{"name": "probabilities"}]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One package and what it is asked.

    Attributes:
        name: ``W1`` to ``W3``, or the model's own.
        package: Its directory.
        model: Its name in URLs.
        row: The numbers that are sent, shape (1, ...); none where a picture is.
        picture: The encoded picture that is sent.
    """

    name: str
    package: Path
    model: str
    tensor: str
    datatype: str
    row: NDArray[Any]
    picture: bytes | None = None

    @property
    def title(self) -> str:
        return TITLES.get(self.name, self.name)

    @property
    def graph(self) -> Path:
        return self.package / "model.onnx"

    @property
    def clients(self) -> tuple[int, ...]:
        """How many ask at once; 64 pictures would only queue."""
        return (1, 16) if self.picture else (1, 16, 64)


@dataclass(frozen=True)
class Request:
    """A request over HTTP, or the body of one over gRPC."""

    path: str
    headers: dict[str, str]
    body: bytes


def open_workload(name: str, cache: Path) -> Workload:
    """Return a workload, and build its package if the cache has none that loads."""
    folder = cache / name
    package = _loaded(folder / "package")
    if not package:
        print(f"building the package of {TITLES[name]}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command: list[str | Path] = [sys.executable, ROOT / "hack" / "bench" / "packages.py", name, folder]
        log = folder / "build.log"
        with log.open("wb") as output:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                command, env=environment, stdout=output, stderr=output, check=False, timeout=BUILD_SECONDS
            )
        package = _loaded(folder / "package")
        if done.returncode or not package:
            sys.exit(f"the package of {name} could not be built; {log} says why:\n{log.read_text()[-2000:]}")
    return describe(name, package, photograph(1) if name == "W3" else None)


def describe(name: str, package: modelpackage.Package, picture: bytes | None = None) -> Workload:
    """Return the workload that a package is; it must take one input of numbers."""
    inputs = package.descriptor.signature.inputs
    if len(inputs) != 1 or inputs[0].datatype not in {"FP32", "UINT8"}:
        named = ", ".join(f"{tensor.name} {tensor.datatype}" for tensor in inputs)
        sys.exit(f"{package.path} takes {named}; the peers serve one input of FP32 or UINT8, choose another package")
    (tensor,) = inputs
    row = package.golden().inputs[tensor.name][:1]
    if name == "W2":  # most pixels of a digit are 0, which is shorter in JSON than other numbers
        row = np.random.default_rng(0).uniform(0, 16, row.shape).astype(np.float32)
    return Workload(
        name=name,
        package=package.path.resolve(),
        model=package.descriptor.name,
        tensor=tensor.name,
        datatype=tensor.datatype,
        row=row,
        picture=picture,
    )


def as_json(workload: Workload, wanted: list[dict[str, str]] | None = None) -> Request:
    """Return the request as v2 JSON."""
    if workload.picture:
        given = _given(workload, "BYTES", [1], data=[base64.b64encode(workload.picture).decode()])
    else:
        given = _given(workload, workload.datatype, list(workload.row.shape), data=_numbers(workload))
    return Request(_path(workload), JSON, _body({"inputs": [given]}, wanted))


def as_binary(workload: Workload, wanted: list[dict[str, str]] | None = None) -> Request:
    """Return the request with v2's binary tensor extension, and the answer asked for likewise."""
    raw, datatype, shape = workload.row.tobytes(), workload.datatype, list(workload.row.shape)
    if workload.picture:
        raw, datatype, shape = len(workload.picture).to_bytes(4, "little") + workload.picture, "BYTES", [1]
    given = _given(workload, datatype, shape, parameters={"binary_data_size": len(raw)})
    head = _body({"parameters": {"binary_data_output": True}, "inputs": [given]}, wanted)
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return Request(_path(workload), headers, head + raw)


def as_plain(workload: Workload) -> Request:
    """Return the request that a tutorial's app takes."""
    if workload.picture:
        return _plain("/predict-picture", {"picture": base64.b64encode(workload.picture).decode()})
    return _plain("/predict", {"rows": [_numbers(workload)]})


def as_grpc(workload: Workload, wanted: list[dict[str, str]] | None = None) -> Request:
    """Return a ModelInferRequest, its tensor as raw content, as kserve's own client sends it.

    Written by hand, so that the measuring process needs no stubs: the field numbers are the protocol's.
    """
    shape = b"".join(_varint(size) for size in workload.row.shape)
    tensor = _field(1, workload.tensor.encode()) + _field(2, workload.datatype.encode()) + _field(3, shape)
    outputs = b"".join(_field(6, _field(1, output["name"].encode())) for output in wanted or ())
    message = _field(1, workload.model.encode()) + _field(5, tensor) + outputs + _field(7, workload.row.tobytes())
    return Request("", {}, message)


FORMS = {
    "json": as_json,
    "binary": as_binary,
    "plain": as_plain,
    "grpc": as_grpc,
    "our-json": partial(as_json, wanted=WANTED),
    "our-binary": partial(as_binary, wanted=WANTED),
    "our-grpc": partial(as_grpc, wanted=WANTED),
}


def _body(fields: dict[str, Any], wanted: list[dict[str, str]] | None) -> bytes:
    return json.dumps(fields | ({"outputs": wanted} if wanted else {})).encode()


def _loaded(path: Path) -> modelpackage.Package | None:
    try:
        return modelpackage.load(path)
    except modelpackage.PackageError:
        return None


def _path(workload: Workload) -> str:
    return f"/v2/models/{workload.model}/infer"


def _given(workload: Workload, datatype: str, shape: list[int], **content: object) -> dict[str, object]:
    return {"name": workload.tensor, "datatype": datatype, "shape": shape, **content}


def _plain(path: str, body: dict[str, object]) -> Request:
    return Request(path, JSON, json.dumps(body).encode())


def _numbers(workload: Workload) -> list[float]:
    """Return the numbers as people write float32: no digits that it does not hold."""
    return [round(value, 5) for value in workload.row.ravel().tolist()]


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    return bytes(_septets(value))


def _septets(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
