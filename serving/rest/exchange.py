"""What a connection and the rest of the server know of each other: the site, and a request with its one response."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from serving.errors import RequestError
from serving.rest.message import Request, Response
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.rest.connection import Connection


class Site(Protocol):
    """What a connection belongs to.

    Attributes:
        settings: What may be used up.
        open: All connections.
        bytes: Of requests that are being received or answered, on all connections.
        closing: Whether every connection ends with its next answer.
    """

    settings: Settings
    open: "set[Connection]"
    bytes: int
    closing: bool

    def handle(self, request: Request, exchange: "Exchange") -> None:
        """Answer a request, now or later, by ``exchange.respond``."""

    def spare(self, path: str) -> bool:
        """Tell whether a path is answered however full the server is: probes and metrics."""

    def refused(self, error: RequestError) -> None:
        """Take note of a request that never came to be handled."""


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
