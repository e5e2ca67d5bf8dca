"""All connections of the server, and the table of what they can ask.

A path that is not in the table is refused with the reason: another model, another version, or no such path.
"""

import asyncio
import re
from uuid import uuid4

from serving.errors import MethodError, OverloadedError, RequestError, UnknownModelError
from serving.monitoring.monitor import Monitor, known
from serving.predictor import Predictor
from serving.rest.connection import Connection
from serving.rest.exchange import CROWDED, Exchange
from serving.rest.inference import Inference
from serving.rest.message import Request, refusal
from serving.rest.service import Handler, Service
from serving.settings import Settings

#: Paths of any model, for a refusal that says what is wrong.
MODEL = re.compile(r"/v[12]/models/([^/:]+)(?:/versions/([^/]+))?(?:/(?:infer|ready|feedback)|:predict)?")
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
        self.memory = predictor.memory
        self.closing = False
        self._predictor, self._monitor = predictor, monitor
        name, version = predictor.name, predictor.writer.version
        self._routes: dict[str, dict[str, Handler]] = service.routes() | {
            f"/v2/models/{name}/infer": {"POST": inference.infer},
            f"/v2/models/{name}/versions/{version}/infer": {"POST": inference.infer},
            f"/v1/models/{name}:predict": {"POST": inference.predict},
        }

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        try:
            self._find(request)(request, exchange)
        except Exception as error:  # noqa: BLE001  # the outermost frame: whatever is left gets an answer, too
            self.refuse(exchange, known(error, uuid4().hex))

    def make_room(self, *, surplus: bool) -> bool:
        """End the connection that is idle for longest, if any is; one of those beyond the limit only if asked to.

        A client that has not sent a thing has less time than one that may come back, and is the first to go.
        """
        idle = [each for each in self.open if each.idle and each.surplus <= surplus]
        if idle:
            min(idle, key=lambda each: each.deadline).abort()
        return bool(idle)

    def objection(self, request: Request, *, crowded: bool) -> RequestError | None:
        """Return why a request is not answered, if its path or method says so; crowded, only probes are."""
        if crowded and PROBES.fullmatch(request.path) is None:
            return OverloadedError(CROWDED)
        try:
            self._find(request)
        except RequestError as error:
            return error
        return None

    def refuse(self, exchange: Exchange, error: RequestError) -> None:
        """Answer a request with an error, and count it."""
        self._monitor.refused(error)
        response = refusal(error)
        if isinstance(error, MethodError):
            response.headers["allow"] = ", ".join(self._methods(exchange.request.path))
        exchange.respond(response)

    def connect(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return Connection(self)

    def sweep(self) -> None:
        """End what has gone on for too long; to be called a few times a second."""
        now = asyncio.get_running_loop().time()
        for connection in [each for each in self.open if each.deadline < now]:
            connection.expire()
        self._predictor.expire()
        self._monitor.metrics.connections, self._monitor.metrics.pending_bytes = len(self.open), self.memory.used

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
