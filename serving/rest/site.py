"""All connections of the server, and the table of what they can ask.

A path that is not in the table is refused with the reason: another model, another version, or no such path.
"""

import asyncio
import re
from uuid import uuid4

from serving.errors import MethodError, RequestError, UnknownModelError, UnsupportedError
from serving.monitoring.monitor import Monitor, known
from serving.predictor import Predictor
from serving.rest.connection import Connection
from serving.rest.exchange import Exchange
from serving.rest.inference import Inference
from serving.rest.message import Request, refusal
from serving.rest.service import Handler, Service
from serving.settings import Settings

#: Paths of any model, for a refusal that says what is wrong.
MODEL = re.compile(r"/v[12]/models/([^/:]+)(?:/versions/([^/]+))?(?:/(?:infer|ready|feedback)|:(?:predict|explain))?")
PROBES = re.compile(r"/metrics|/v2/health/.*|/v[12]/models/[^/:]+(/ready)?")


class Site:
    """Answers requests by their path; see :class:`serving.rest.exchange.Site`.

    Args:
        predictor: The model.
        monitor: Who is told of requests.
        inference: Answers inference.
        service: Answers the rest.
        settings: What may be used up.
    """

    def __init__(
        self, predictor: Predictor, monitor: Monitor, inference: Inference, service: Service, settings: Settings
    ) -> None:
        self.settings = settings
        self.open: set[Connection] = set()
        self.bytes = 0
        self.closing = False
        self._predictor, self._monitor = predictor, monitor
        name, version = predictor.name, predictor.writer.version
        self._routes: dict[str, dict[str, Handler]] = service.routes() | {
            f"/v2/models/{name}/infer": {"POST": inference.infer},
            f"/v2/models/{name}/versions/{version}/infer": {"POST": inference.infer},
            f"/v1/models/{name}:predict": {"POST": inference.predict},
            f"/v1/models/{name}:explain": {"POST": _explain},
        }

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        try:
            self._find(request)(request, exchange)
        except Exception as error:  # noqa: BLE001  # the outermost frame: whatever is left gets an answer, too
            answer = known(error, uuid4().hex)
            self._monitor.refused(answer)
            response = refusal(answer)
            if isinstance(answer, MethodError):
                response.headers["allow"] = ", ".join(self._methods(request.path))
            exchange.respond(response)

    def spare(self, path: str) -> bool:
        """Tell whether a path is answered however full the server is."""
        return PROBES.fullmatch(path) is not None

    def refused(self, error: RequestError) -> None:
        """Count a request that never came to be handled."""
        self._monitor.refused(error)

    def connect(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return Connection(self)

    def sweep(self) -> None:
        """End what has gone on for too long; to be called a few times a second."""
        now = asyncio.get_running_loop().time()
        for connection in [each for each in self.open if each.deadline < now]:
            connection.expire()
        self._predictor.expire()
        self._monitor.metrics.connections, self._monitor.metrics.pending_bytes = len(self.open), self.bytes

    def _find(self, request: Request) -> Handler:
        methods = self._routes.get(request.path)
        if methods is None:
            if found := MODEL.fullmatch(request.path):
                self._predictor.check(found[1], found[2])
            raise UnknownModelError("there is no such path; GET /openapi.json lists what there is")
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise MethodError(f"this path does not take that method; it takes {', '.join(self._methods(request.path))}")
        return handler

    def _methods(self, path: str) -> list[str]:
        methods = self._routes.get(path, {})
        return [*methods, *(["HEAD"] if "GET" in methods else [])]


def _explain(_request: Request, _exchange: Exchange) -> None:
    raise UnsupportedError("this server explains no predictions; ask for them with :predict")
