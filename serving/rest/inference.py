"""The handlers of v2 inference and v1 prediction: a body in, an answer out, now or when the graph has run."""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

from serving.codec.answer import Scores
from serving.codec.binary import LENGTH_HEADER, split
from serving.codec.instances import rewrite
from serving.codec.nesting import Bounds, parse
from serving.codec.query import Query
from serving.errors import DisconnectedError, MediaTypeError, RequestError
from serving.monitoring.monitor import Monitor, Visit, known
from serving.predictor import Outcome, Predictor
from serving.rest.exchange import Exchange
from serving.rest.message import JSON, Request, Response, refusal
from serving.settings import Settings

#: The header that names the package behind an answer.
PACKAGE_HEADER = "x-slipway-package"
BINARY = "application/octet-stream"


class Inference:
    """Answers inference requests.

    Args:
        predictor: What answers.
        monitor: Who is told.
        settings: How large a request may be.
    """

    def __init__(self, predictor: Predictor, monitor: Monitor, settings: Settings) -> None:
        self._predictor, self._monitor, self._settings = predictor, monitor, settings
        self._headers = {PACKAGE_HEADER: predictor.writer.package}

    def infer(self, request: Request, exchange: Exchange) -> None:
        """Answer a v2 inference request, JSON or binary."""
        self._answer(request, exchange, "POST /v2/models/{model}/infer", self._v2, self._render)

    def predict(self, request: Request, exchange: Exchange) -> None:
        """Answer a v1 prediction request."""
        self._answer(request, exchange, "POST /v1/models/{model}:predict", self._v1, self._predictions)

    def _answer(
        self,
        request: Request,
        exchange: Exchange,
        operation: str,
        read: Callable[[Request], dict[str, Any]],
        render: Callable[[Query, Scores], Response],
    ) -> None:
        visit = self._monitor.begin("rest", operation, request.headers, request.path)
        try:
            self._predictor.admit()
            done = partial(self._done, visit, exchange, render)
            ticket = self._predictor.submit(partial(read, request), visit, done, size=len(request.body))
        except Exception as error:  # noqa: BLE001  # whatever it is, the client gets an answer and the connection stays
            self._refuse(visit, exchange, known(error, visit.request_id))
        else:
            exchange.gone = partial(self._left, visit, ticket.cancel)

    def _done(
        self,
        visit: Visit,
        exchange: Exchange,
        render: Callable[[Query, Scores], Response],
        outcome: Outcome,
    ) -> None:
        if isinstance(outcome, RequestError):
            self._refuse(visit, exchange, outcome)
            return
        begun = perf_counter()
        try:
            response = render(*outcome)
        except Exception as error:  # noqa: BLE001  # see _answer
            self._refuse(visit, exchange, known(error, visit.request_id))
            return
        exchange.respond(response)
        self._monitor.metrics.postprocess.observe(perf_counter() - begun)
        self._monitor.end(visit)

    def _refuse(self, visit: Visit, exchange: Exchange, error: RequestError) -> None:
        exchange.respond(refusal(error))
        self._monitor.end(visit, error)

    def _left(self, visit: Visit, cancel: Callable[[], None]) -> None:
        cancel()
        self._monitor.end(visit, DisconnectedError("the client left before its answer was ready"))

    def _v2(self, request: Request) -> dict[str, Any]:
        length = request.headers.get(LENGTH_HEADER)
        media = media_type(request)
        if length is not None and media in (BINARY, JSON, ""):
            return split(request.body, length, self._settings)
        if media == BINARY:
            raise MediaTypeError(
                f"the body is binary and the header {LENGTH_HEADER} is missing; say how long its JSON is"
            )
        return json_fields(request, self._settings)

    def _v1(self, request: Request) -> dict[str, Any]:
        return rewrite(json_fields(request, self._settings), self._predictor.reader)

    def _render(self, query: Query, scores: Scores) -> Response:
        writer = self._predictor.writer
        body, length = writer.render(writer.answer(query, scores))
        if length is None:
            return Response(body, headers=self._headers)
        return Response(body, media=BINARY, headers={**self._headers, LENGTH_HEADER: str(length)})

    def _predictions(self, query: Query, scores: Scores) -> Response:
        return Response(self._predictor.writer.predictions(query, scores), headers=self._headers)


def json_fields(request: Request, bounds: Bounds) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        MediaTypeError: The body says that it is something else.
        InvalidInputError: It is no JSON object.
    """
    if media_type(request) not in (JSON, ""):
        raise MediaTypeError("the body is not announced as JSON; send the header 'content-type: application/json'")
    return parse(request.body, bounds)


def media_type(request: Request) -> str:
    """Return the media type of a body, in lower case and without parameters.

    Raises:
        MediaTypeError: The body is compressed.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise MediaTypeError("the body is compressed, which this server does not read; send it as it is")
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
