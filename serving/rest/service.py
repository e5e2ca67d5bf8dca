"""The handlers of everything but inference: health, metadata, metrics, feedback, and the pages for people.

None of them can load or unload a model. Metadata is made once; it does not change while a package is served.
"""

from collections.abc import Callable

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from serving import metadata, page
from serving.errors import NotReadyError, UnknownRequestError
from serving.monitoring.feedback import Feedback, parse_feedback
from serving.monitoring.observers import Observers
from serving.predictor import Predictor
from serving.rest.exchange import Exchange
from serving.rest.inference import json_fields
from serving.rest.message import Request, Response, refusal
from serving.rest.openapi import document
from serving.settings import Settings

Handler = Callable[[Request, Exchange], None]


class Service:
    """Answers what is no inference.

    Args:
        predictor: Whose model this is about.
        registry: The metrics.
        feedback: What joins ground truth.
        observers: Who brings predictions to it.
        settings: Limits, and whether there is a page.
    """

    def __init__(
        self,
        predictor: Predictor,
        registry: CollectorRegistry,
        feedback: Feedback,
        observers: Observers,
        settings: Settings,
    ) -> None:
        self._predictor, self._registry = predictor, registry
        self._feedback, self._observers, self._settings = feedback, observers, settings

    def routes(self) -> dict[str, dict[str, Handler]]:
        """Return the handlers by path and method."""
        name, version = self._predictor.name, self._predictor.writer.version
        description = document(name=name, version=version, example=metadata.example(self._predictor.package))
        model = _constant(metadata.model(self._predictor))
        gets: dict[str, Handler] = {
            "/v2": _constant(metadata.server()),
            "/v2/health/live": _constant({"live": True}),
            "/v2/health/ready": self._ready({"ready": True}),
            "/v2/models": _constant({"models": [name]}),
            "/v1/models": _constant({"models": [name]}),
            f"/v1/models/{name}": self._ready({"name": name, "ready": True}),
            "/metrics": self._metrics,
            "/openapi.json": _constant(description),
        }
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            gets[path] = model
            gets[f"{path}/ready"] = self._ready({"name": name, "ready": True})
        assets = page.docs() | (page.page() if self._settings.page else {})
        for path, asset in assets.items():
            headers = {key.lower(): value for key, value in asset.headers.items()}
            gets[path] = _fixed(Response(asset.body, media=asset.media_type, headers=headers))
        if not self._settings.page:
            gets["/"] = _constant({"model": name, "package": self._predictor.writer.package, "docs": "/docs"})
        routes = {path: {"GET": handler} for path, handler in gets.items()}
        routes[f"/v2/models/{name}/feedback"] = {"POST": self._judge}
        return routes

    def _ready(self, fields: object) -> Handler:
        yes = Response(orjson.dumps(fields))

        def answer(_request: Request, exchange: Exchange) -> None:
            ready = self._predictor.inviting
            exchange.respond(yes if ready else refusal(NotReadyError("the server is ending; ask another one")))

        return answer

    def _metrics(self, _request: Request, exchange: Exchange) -> None:
        exchange.respond(Response(generate_latest(self._registry), media=CONTENT_TYPE_LATEST))

    def _judge(self, request: Request, exchange: Exchange) -> None:
        request_id, labels = parse_feedback(json_fields(request, self._settings.max_nesting))
        try:
            judged = self._feedback.judge(request_id, labels)
        except UnknownRequestError:  # its answer may be on its way here
            self._observers.hand_on()
            judged = self._feedback.judge(request_id, labels)
        exchange.respond(Response(orjson.dumps(judged)))


def _constant(fields: object) -> Handler:
    return _fixed(Response(orjson.dumps(fields)))


def _fixed(response: Response) -> Handler:
    return lambda _request, exchange: exchange.respond(response)
