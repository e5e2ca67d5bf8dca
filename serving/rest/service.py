"""The handlers of everything but inference: health, metadata, metrics, feedback, and the pages for people.

None of them can load or unload a model. Metadata is made once; it does not change while a package is served.
"""

import asyncio
from collections.abc import Callable

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from serving import metadata, page
from serving.errors import MediaTypeError, NotReadyError
from serving.monitoring.feedback import Feedback, parse_feedback
from serving.predictor import Predictor
from serving.rest.exchange import Exchange
from serving.rest.inference import json_fields, media_type
from serving.rest.message import JSON, Request, Response, refusal
from serving.rest.openapi import document
from serving.settings import Settings

Handler = Callable[[Request, Exchange], None]


class Service:
    """Answers what is no inference.

    Args:
        predictor: Whose model this is about.
        registry: The metrics.
        feedback: What joins ground truth.
        settings: Limits, and whether there is a page.
    """

    def __init__(
        self,
        predictor: Predictor,
        registry: CollectorRegistry,
        feedback: Feedback,
        settings: Settings,
    ) -> None:
        self._predictor, self._registry = predictor, registry
        self._feedback, self._settings = feedback, settings
        self._scrape: Response | None = None

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
        if self._scrape is None:  # made once for all that ask in one turn of the event loop, because it takes a while
            self._scrape = Response(generate_latest(self._registry), media=CONTENT_TYPE_LATEST)
            asyncio.get_running_loop().call_soon(self._forget)
        exchange.respond(self._scrape)

    def _forget(self) -> None:
        self._scrape = None

    def _judge(self, request: Request, exchange: Exchange) -> None:
        # A browser lets a page of any site send a body without this header, and asks first where it is there.
        if media_type(request) != JSON:
            raise MediaTypeError("feedback must be announced as JSON; send the header 'content-type: application/json'")
        fields = json_fields(request, self._settings)
        request_id, labels = parse_feedback(fields, self._settings.max_id_characters)
        judged = self._feedback.judge(request_id, labels)
        exchange.respond(Response(orjson.dumps(judged)))


def _constant(fields: object) -> Handler:
    return _fixed(Response(orjson.dumps(fields)))


def _fixed(response: Response) -> Handler:
    return lambda _request, exchange: exchange.respond(response)
