"""One HTTP/1.1 connection: llhttp parses, this file decides what may be used up.

Everything has an end: a request must arrive whole within its time, its head and body have a size, a client that does
not read its answer is let go. A refusal is an answer of its own; the connection stays open after it, unless its request
was not read to the end. Then the rest is read and thrown away for a moment before the connection is closed, because
closing at once would take the refusal back from a client that is still sending.

Requests of one connection are answered in order, one at a time, and no two in one turn of the event loop. Where all
connections are taken, a new one gets the place of the one that has been idle for longest.
"""

import asyncio
from collections import deque
from math import inf
from typing import Any

import httptools

from serving.errors import (
    InvalidInputError,
    OverloadedError,
    RequestError,
    SlowError,
    TooLargeError,
)
from serving.rest.exchange import CROWDED, Exchange, Site
from serving.rest.head import head_too_large, objection, oversized, path
from serving.rest.message import Response
from serving.settings import SMALL_BYTES

#: Longer than the idle time of the usual proxies (60 s), so that they and not we end a connection.
KEEP_ALIVE_SECONDS = 75.0
#: How long the rest of a refused request is read, and how long a client may take to read an answer.
LINGER_SECONDS, SEND_SECONDS = 1.0, 20.0
#: What frames a body (sizes of chunks, trailers) may have as many bytes as a head, and this share of the body.
FRAME_SHARE = 8
#: Surplus connections, and the time of a request on them; as many more are told that they are too many.
SPARE_CONNECTIONS, SPARE_SECONDS = 64, 1.0
#: Requests that a client may send before it reads the first answer.
MAX_PIPELINED = 16


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        site: What it belongs to.

    Attributes:
        surplus: Whether it is one beyond the limit, on which only probes are answered.
        deadline: When it is closed unless something happens, by the event loop's clock.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._settings = site.settings
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._url: list[bytes] = []
        #: Bytes of the request that arrives which are not its body, those that the parser was last given, kept bodies.
        self._overhead = self._fed = self._bytes = 0
        self._incoming: Exchange | None = None
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._lingering = self._handling = self._paused = self._blocked = self.surplus = False
        self._seconds = site.settings.receive_seconds  # in which a request must arrive
        self.deadline = inf

    @property
    def idle(self) -> bool:
        """Whether nothing comes, is answered or goes."""
        resting = self._current is None and self._incoming is None and not (self._waiting or self._overhead)
        return resting and not (self._lingering or self._transport.get_write_buffer_size())

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the time for the first request."""
        self._transport = transport
        room = self._settings.max_connections - len(self._site.open)
        if room <= 0 and self._site.make_room(surplus=room <= -SPARE_CONNECTIONS):
            room += 1
        if room <= 0:
            self.surplus, self._seconds = True, min(self._seconds, SPARE_SECONDS)
        self._site.open.add(self)
        self.deadline = self._loop.time() + self._seconds
        if room <= -2 * SPARE_CONNECTIONS:
            self.abort()
        elif room <= -SPARE_CONNECTIONS:
            self._abandon(OverloadedError(CROWDED))
            self._next()

    def connection_lost(self, _error: Exception | None) -> None:
        """Drop the work that nobody waits for."""
        self._site.open.discard(self)
        self._account(-self._bytes)
        for exchange in (self._current, *self._waiting):
            if exchange is not None:
                exchange.leave()
        self._waiting.clear()
        self._current = self._parser = self._transport = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what it finds is handled when it is whole."""
        if self._lingering or self._parser is None:
            return
        if self._current is None and self._incoming is None and not (self._overhead or self.surplus):
            self.deadline = self._loop.time() + self._seconds
        self._fed = len(data)
        self._overhead += self._fed
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as asked:  # a wish, which HTTP allows to pass over
            if asked.args[0] < self._fed or self._waiting[-1].error is not None:  # llhttp does not read on
                self._waiting[-1].keep_alive, self._parser = False, None
            self._look_after()
        except httptools.HttpParserError:
            self._abandon(InvalidInputError("this is no HTTP/1.1 request; see RFC 9112"))
        else:
            self._look_after()
        self._next()

    def pause_writing(self) -> None:
        """Give a client that does not read its answer some time."""
        self._blocked = True
        self.deadline = self._loop.time() + SEND_SECONDS

    def resume_writing(self) -> None:
        """Go on, the client has read."""
        self._blocked = False
        self.deadline = inf if self._current else self._loop.time() + self._patience()
        self._next()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._incoming, self._url = Exchange(self), []

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers behind the body are none."""
        if self._incoming is not None and not self._incoming.request.method:
            self._incoming.add(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Refuse a request before its body, or ask for that."""
        exchange, parser = self._incoming, self._parser
        if exchange is None:
            return
        request = exchange.request
        request.method = parser.get_method().decode("latin-1")
        target, version = b"".join(self._url), parser.get_http_version()
        request.path = path(target)
        exchange.error = objection(request, version, exchange.fields, self._settings)
        if max(self._fed, self._overhead) > self._settings.max_header_bytes and exchange.error is None:
            exchange.error = oversized(request, target, self._settings)
        if exchange.error is None:
            exchange.error = self._site.objection(request, crowded=self.surplus)
        exchange.keep_alive = parser.should_keep_alive() and (exchange.error is None or version == "1.1")
        self._overhead = 0
        if "expect" in request.headers and version == "1.1":
            exchange.expect = request.headers["expect"].lower() == "100-continue"
            # Not in front of an answer that is still due; the client then sends unasked, as it must.
            if exchange.expect and exchange.error is None and self._current is None and not self._waiting:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body, and none of one that nobody reads."""
        if self._incoming is not None:
            self._overhead -= len(piece)
            room = self._bytes + len(piece) <= SMALL_BYTES or self._site.memory.fits(len(piece))
            self._account(self._incoming.receive(piece, self._settings, room=room))

    def on_message_complete(self) -> None:
        """Queue a whole request."""
        if self._incoming is not None and len(self._waiting) <= MAX_PIPELINED:  # beyond, the connection is ended
            self._waiting.append(self._incoming)
        self._incoming, self._overhead = None, 0

    # What happens then.

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Send the response of the current request and go on with the next."""
        if self._transport is None or self._current is not exchange or self._transport.is_closing():
            return
        last = (self._site.closing or self.surplus) and not self._waiting and self._incoming is None
        close = last or not exchange.keep_alive
        self._account(-len(exchange.request.body))
        self._current = None
        self.deadline = self._loop.time() + self._patience()
        self._transport.write(
            response.head(close=close) + (b"" if exchange.request.method == "HEAD" else response.body)
        )
        if close:
            self._waiting.clear()
            self._linger()
        else:
            self._next()

    def expire(self) -> None:
        """End a connection whose deadline is over."""
        if self._transport is None:
            return
        if self._lingering or self._transport.get_write_buffer_size():
            self.abort()
        elif self._incoming is None and not self._overhead:
            self._transport.close()
        else:
            self._abandon(SlowError(f"the request did not arrive within {self._seconds:g} seconds; send it faster"))
            self._next()

    def close_idle(self) -> None:
        """End a connection on which nothing is going on."""
        if self._transport is not None and self._current is None and self._incoming is None and not self._waiting:
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once; the event loop may be about to end."""
        if self._transport is not None:
            self._transport.abort()
            self.connection_lost(None)

    def _next(self) -> None:
        """Handle what waits, unless its turn comes anyway."""
        if not self._handling:
            self._turn()

    def _turn(self) -> None:
        """Handle one request, and the next when others had their turn, however many came at once."""
        self._handling = True
        if self._able:
            self._current = exchange = self._waiting.popleft()
            self.deadline = inf
            if exchange.error is None:
                self._site.handle(exchange.request, exchange)
            else:
                exchange.keep_alive = exchange.keep_alive and not isinstance(exchange.error, TooLargeError)
                self._site.refuse(exchange, exchange.error)
        self._handling = self._able
        if self._handling:
            self._loop.call_soon(self._turn)
        pause = self._blocked or bool(self._waiting)
        if self._paused != pause and self._transport is not None and not self._lingering:
            self._paused = pause
            (self._transport.pause_reading if self._paused else self._transport.resume_reading)()

    @property
    def _able(self) -> bool:
        return bool(self._waiting) and self._current is None and not (self._lingering or self._blocked)

    def _look_after(self) -> None:
        """Give up on a request that is too large, without reading it to the end."""
        exchange = self._incoming
        if self._overhead > self._settings.max_header_bytes + (exchange.size // FRAME_SHARE if exchange else 0):
            if exchange is None or not exchange.request.method:
                self._abandon(head_too_large(self._settings))
            else:
                self._abandon(InvalidInputError("the body comes in too many small pieces; send larger ones"))
        elif exchange is not None and exchange.error is not None:
            # A small rest is worth reading, because the connection can then go on.
            large = isinstance(exchange.error, TooLargeError) or exchange.size > self._settings.max_body_bytes
            if large or exchange.expect:
                self._abandon(exchange.error)
        elif len(self._waiting) > MAX_PIPELINED:
            self._abandon(OverloadedError("too many requests were sent at once; wait for an answer now and then"))

    def _abandon(self, error: RequestError) -> None:
        """Answer what can't be read to its end, after what came before it."""
        exchange = self._incoming or Exchange(self)
        exchange.error = error
        exchange.keep_alive = False
        self._incoming = None
        self._waiting.append(exchange)
        self._parser = None

    def _linger(self) -> None:
        self._lingering = True
        if self._paused:
            self._transport.resume_reading()
        if self._parser is not None and self._incoming is None:
            self._transport.close()  # read to the end: there is nothing on its way
            return
        self.deadline = self._loop.time() + LINGER_SECONDS
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _patience(self) -> float:
        if self._lingering:
            return LINGER_SECONDS
        return KEEP_ALIVE_SECONDS if self._incoming is None and not self.surplus else self._seconds

    def _account(self, count: int) -> None:
        self._bytes += count
        self._site.memory.take(count)
