"""What a connection and the rest of the server know of each other: the site, and a request with its one response."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from serving.errors import OverloadedError, RequestError
from serving.memory import Memory
from serving.rest.head import MAX_HEADERS, too_large
from serving.rest.message import Request, Response
from serving.settings import Limits, Settings

if TYPE_CHECKING:
    from serving.rest.connection import Connection

CROWDED = "too many connections are open; try again in a second"
#: Methods whose body means nothing.
BODILESS = ("GET", "HEAD")


class Site(Protocol):
    """What a connection belongs to.

    Attributes:
        settings: What may be used up.
        open: All connections.
        memory: What the bodies on all connections take.
        closing: Whether every connection ends with its next answer.
    """

    settings: Settings
    open: "set[Connection]"
    memory: Memory
    closing: bool

    def handle(self, request: Request, exchange: "Exchange") -> None:
        """Answer a request, now or later, by ``exchange.respond``."""

    def make_room(self, *, surplus: bool) -> bool:
        """End the connection that is idle for longest, if any is; one of those beyond the limit only if asked to."""

    def objection(self, request: Request, *, crowded: bool) -> RequestError | None:
        """Return why a request is not answered, if its path or method says so; crowded, only probes are."""

    def refuse(self, exchange: "Exchange", error: RequestError) -> None:
        """Answer a request with an error, and take note of it."""


class Exchange:
    """A request and its one response.

    Attributes:
        request: Complete once it is handled.
        error: Why it is refused, if it is.
        gone: Called if the client leaves before the response.
        keep_alive: Whether the connection can go on after the response.
        expect: Whether the client waits to be asked for the body.
        fields: Headers that have arrived, repeated ones included.
        size: Bytes of the body that have arrived, kept or not.
    """

    __slots__ = ("_connection", "error", "expect", "fields", "gone", "keep_alive", "request", "size")

    def __init__(self, connection: "Connection") -> None:
        self._connection: Connection | None = connection
        self.request = Request("", "", {})
        self.error: RequestError | None = None
        self.gone: Callable[[], None] | None = None
        self.keep_alive = True
        self.expect = False
        self.fields = self.size = 0

    def add(self, name: str, text: str) -> None:
        """Add a header by its name in lower case, unless there are too many."""
        if self.fields > MAX_HEADERS:
            return
        self.fields += 1
        headers = self.request.headers
        headers[name] = f"{headers[name]}, {text}" if name in headers else text

    def receive(self, piece: bytes, limits: Limits, *, room: bool) -> int:
        """Keep a piece of the body if it is read by anybody and there is room; return how many bytes more are kept."""
        self.size += len(piece)
        if self.error is not None:
            return 0
        if self.size > limits.max_body_bytes:
            self.error = too_large(limits)
        elif self.request.method in BODILESS:
            return 0
        elif room:
            self.request.extend(piece)
            return len(piece)
        else:
            self.error = OverloadedError("the requests in work fill the memory; try again in a second")
        kept, self.request.body = len(self.request.body), b""
        return -kept

    def respond(self, response: Response) -> None:
        """Send the response; does nothing if the client has left, or has got one."""
        connection, self._connection, self.gone = self._connection, None, None
        if connection is not None:
            connection.respond(self, response)

    def leave(self) -> None:
        """Tell whoever works on the response that nobody waits for it."""
        self._connection = None
        if self.gone is not None:
            self.gone()
