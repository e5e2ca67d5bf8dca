"""v2 REST: our inference route in front, kserve's endpoints for health and metadata, and one form of error.

Publishes what is listed here and nothing else of kserve, so no route can load or unload a model. Every refusal is
``{"error": "..."}`` with a sentence that says what to change. May import kserve.
"""

import math
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from kserve.errors import ModelNotReady, ServerNotReady
from kserve.protocol.rest.v2_datamodels import (
    InferenceResponse,
    ListModelsResponse,
    ModelMetadataResponse,
    ModelReadyResponse,
    ServerLiveResponse,
    ServerMetadataResponse,
    ServerReadyResponse,
)
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import VERSION, codec
from serving.errors import (
    STATUS,
    DisconnectedError,
    InvalidInputError,
    NotReadyError,
    RequestError,
    TooLargeError,
)
from serving.monitor import unforeseen, watch
from serving.predictor import Plane

JSON = "application/json"
#: The header that names the package behind an answer.
PACKAGE_HEADER = "x-slipway-package"
MODEL = "/v2/models/{model_name}"
VERSIONED = MODEL + "/versions/{model_version}"
EXAMPLE_VALUES = 1024
KSERVE_NOT_READY = (ModelNotReady, ServerNotReady)


class Endpoints(V2Endpoints):  # type: ignore[misc]  # kserve has no type information
    """The handlers: kserve's, with our inference and with the one version that there is."""

    def __init__(self, plane: Plane, max_body_bytes: int) -> None:
        super().__init__(plane)
        self.predictor = plane.predictor
        self._max_body_bytes = max_body_bytes

    async def infer(self, request: Request) -> Response:
        """Answer a v2 inference request."""
        with watch("rest") as visit:
            path = request.path_params
            self.predictor.check(path["model_name"], path.get("model_version"))
            fields = codec.parse(await _body(request, self._max_body_bytes))
            visit.id = codec.request_id(fields, visit.id)
            answer = await self.predictor.answer(fields, visit.id)
            visit.rows = answer.rows
            return Response(codec.render(answer), headers={PACKAGE_HEADER: answer.package}, media_type=JSON)

    async def versioned_metadata(self, model_name: str, model_version: str) -> ModelMetadataResponse:
        """Describe a version of the model."""
        self.predictor.check(model_name, model_version)
        return await self.model_metadata(model_name)

    async def versioned_ready(self, model_name: str, model_version: str) -> ModelReadyResponse:
        """Tell whether a version of the model is ready."""
        self.predictor.check(model_name, model_version)
        return await self.model_ready(model_name)


class LastResort:
    """Answers the unforeseen inside of the framework, which would close the connection under a client's next request.

    Args:
        app: The application that may raise.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  # the outermost frame of a request: whatever is left is our fault
            response = await refuse(Request(scope), error)
            await response(scope, receive, send)


def build_app(plane: Plane, *, max_body_bytes: int) -> FastAPI:
    """Return the application.

    Args:
        plane: What answers.
        max_body_bytes: The largest request that is read.
    """
    app = FastAPI(title="Slipway predictor", version=VERSION, redoc_url=None)
    endpoints = Endpoints(plane, max_body_bytes)
    example = _example(plane)
    for path in (f"{VERSIONED}/infer", f"{MODEL}/infer"):
        # The same handler twice: this route, in front, costs a third of FastAPI's, which is there to be seen in /docs.
        app.router.routes.insert(0, Route(path, endpoints.infer, methods=["POST"]))
        app.add_api_route(
            path,
            endpoints.infer,
            methods=["POST"],
            tags=["v2"],
            responses={200: {"model": InferenceResponse}},
            openapi_extra=example,
        )
    for path, handler, answer in (
        ("/v2", endpoints.metadata, ServerMetadataResponse),
        ("/v2/health/live", endpoints.live, ServerLiveResponse),
        ("/v2/health/ready", endpoints.ready, ServerReadyResponse),
        ("/v2/models", endpoints.models, ListModelsResponse),
        (MODEL, endpoints.model_metadata, ModelMetadataResponse),
        (f"{MODEL}/ready", endpoints.model_ready, ModelReadyResponse),
        (VERSIONED, endpoints.versioned_metadata, ModelMetadataResponse),
        (f"{VERSIONED}/ready", endpoints.versioned_ready, ModelReadyResponse),
    ):
        app.add_api_route(path, handler, response_model=answer, tags=["v2"])
    app.add_api_route("/metrics", metrics, tags=["operations"])
    for error in (RequestError, HTTPException, RequestValidationError, *KSERVE_NOT_READY):
        app.add_exception_handler(error, refuse)
    app.add_middleware(LastResort)
    return app


async def metrics() -> Response:
    """Return the Prometheus metrics."""
    return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})


async def refuse(request: Request, error: Exception) -> Response:
    """Answer any error: a client's, kserve's or ours."""
    status, message = _verdict(request, error)
    headers = error.headers if isinstance(error, HTTPException) else None
    return Response(orjson.dumps({"error": message}), status, headers, JSON)


def _verdict(request: Request, error: Exception) -> tuple[int, str]:
    if isinstance(error, KSERVE_NOT_READY):
        error = NotReadyError("the model is not ready; try again later")
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        error = InvalidInputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    elif isinstance(error, HTTPException):
        return error.status_code, _sentence(request, error)
    elif not isinstance(error, RequestError):
        error = unforeseen(error, uuid4().hex)
    return STATUS[type(error)].http, str(error)


def _sentence(request: Request, error: HTTPException) -> str:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return "there is no such path; GET /docs lists what there is"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"this path does not take {request.method}; it takes {(error.headers or {}).get('Allow')}"
    return error.detail


async def _body(request: Request, limit: int) -> bytes:
    """Read the body, and stop before it is held in memory if it is too large."""
    # The server's parser has refused a length that is no number.
    if int(request.headers.get("content-length", 0)) > limit:
        raise TooLargeError(f"the body has more than {limit} bytes; send fewer rows")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise TooLargeError(f"the body has more than {limit} bytes; send fewer rows")
    except ClientDisconnect:
        raise DisconnectedError("the client left before its request was whole") from None
    return bytes(body)


def _example(plane: Plane) -> dict[str, Any]:
    """Describe the body of an inference request by a golden example; a long row is cut, the form is what matters."""
    golden = plane.predictor.package.golden().inputs
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": [1, *tensor.shape],
            "data": [_shown(value) for value in golden[tensor.name][:1].ravel()[:EXAMPLE_VALUES].tolist()],
        }
        for tensor in plane.predictor.codec.inputs.values()
    ]
    content = {JSON: {"schema": {"type": "object"}, "example": {"inputs": inputs}}}
    return {"requestBody": {"required": True, "content": content}}


def _shown(value: float | str) -> float | str | None:
    """Return a value as JSON has it: a missing number is null there."""
    return None if isinstance(value, float) and math.isnan(value) else value
