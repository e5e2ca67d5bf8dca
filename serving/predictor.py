"""The model as kserve sees it: a proven package that decodes, infers and answers, timed by kserve's own histograms.

Refuses to become ready before the package reproduced its golden outputs. May import kserve.
"""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from kserve import Model, ModelRepository
from kserve.metrics import POST_HIST_TIME, PRE_HIST_TIME, PREDICT_HIST_TIME, get_labels
from kserve.protocol.dataplane import DataPlane

from modelpackage import Package
from serving import VERSION, monitor
from serving.codec import LABEL, Answer, Codec
from serving.engine import Engine
from serving.errors import NotReadyError, UnknownModelError


class Predictor(Model):  # type: ignore[misc]  # kserve has no type information
    """One package under one name.

    Args:
        package: A verified package.
        name: The model's name in URLs; the package's own without.
        threads: Threads of one inference; 0 takes the CPU limit.
        max_rows: The most rows of one request.

    Attributes:
        draining: Set once the process was asked to end: probes turn to not ready, requests are still answered.
    """

    def __init__(self, package: Package, *, name: str | None, threads: int, max_rows: int) -> None:
        super().__init__(name or package.descriptor.name)
        self.package = package
        self.codec = Codec(package.descriptor, name=self.name, max_rows=max_rows)
        self.draining = False
        self._threads = threads
        # Looked up once: finding the labels costs more than the observation.
        labels = get_labels(self.name)
        self._decode_time = PRE_HIST_TIME.labels(**labels)
        self._infer_time = PREDICT_HIST_TIME.labels(**labels)
        self._answer_time = POST_HIST_TIME.labels(**labels)

    def load(self) -> bool:
        """Open the graph and prove it.

        Raises:
            PackageError: The package is not what was sealed, or this machine does not reproduce it.
        """
        started = perf_counter()
        self._engine = Engine(self.package, threads=self._threads)
        monitor.loaded(self.package, self.name, perf_counter() - started)
        self.ready = True
        return True

    async def healthy(self) -> bool:
        """Tell whether new requests should come here."""
        return self.ready and not self.draining

    def stop(self) -> None:
        """End the worker thread; nothing is answered any more."""
        self.ready = False
        self._engine.close()

    def check(self, name: str, version: str | None) -> None:
        """Refuse every model but this one.

        Raises:
            UnknownModelError: Another name, or a version that is neither absent nor this one.
        """
        if name != self.name:
            raise UnknownModelError(f"there is no such model here; this server has {self.name!r}")
        if version not in (None, "", self.codec.version):
            raise UnknownModelError(f"{self.name!r} has no such version here; this server has {self.codec.version!r}")

    async def answer(self, fields: Mapping[str, Any], request_id: str) -> Answer:
        """Answer a v2 request.

        Args:
            fields: The v2 JSON object; ``data`` may also be raw bytes.
            request_id: What to answer under.

        Raises:
            NotReadyError: The package is not proven.
            InvalidInputError: The request does not fit the signature.
        """
        if not self.ready:
            raise NotReadyError(f"{self.name!r} is not ready; try again later")
        with self._decode_time.time():
            request = self.codec.decode(fields, request_id)
        with self._infer_time.time():
            arrays = await self._engine.infer(request.inputs)
        with self._answer_time.time():
            return self.codec.answer(request, arrays)

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs as v2 metadata."""
        return [
            _metadata(tensor.name, tensor.datatype, tensor.batch_shape)
            for tensor in self.package.descriptor.signature.inputs
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs as v2 metadata, the derived label last."""
        known = [
            _metadata(tensor.name, tensor.datatype, tensor.batch_shape)
            for tensor in self.package.descriptor.signature.outputs
        ]
        return [*known, _metadata(LABEL, "BYTES", [-1])]


class Plane(DataPlane):  # type: ignore[misc]  # kserve has no type information
    """What kserve's own endpoints ask: one predictor, with honest metadata, readiness and errors."""

    def __init__(self, predictor: Predictor) -> None:
        registry = ModelRepository()
        registry.update(predictor)
        super().__init__(registry)
        self.predictor = predictor

    def metadata(self) -> dict[str, Any]:
        """Return the server metadata; the extensions are those that exist."""
        return {"name": "slipway", "version": VERSION, "extensions": []}

    async def ready(self) -> bool:
        """Tell whether the server is ready, which kserve's own answer takes for granted."""
        return await self.predictor.healthy()

    async def model_ready(self, model_name: str, *_: object) -> bool:
        """Tell whether a model is ready."""
        self.predictor.check(model_name, None)
        return await self.predictor.healthy()

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        """Return a model's metadata."""
        self.predictor.check(model_name, None)
        return {
            "name": model_name,
            "versions": [self.predictor.codec.version],
            "platform": "onnxruntime_onnx",
            "inputs": self.predictor.get_input_types(),
            "outputs": self.predictor.get_output_types(),
        }


def _metadata(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}
