"""A client for REST that sees everything: one raw connection, kept alive, and whether it was dropped."""

import asyncio
from dataclasses import dataclass, field

from attack.process import HOST

#: A request that takes longer counts as one without an answer.
PATIENCE = 30


class DroppedError(Exception):
    """The connection ended, or gave no whole answer; the message says when."""


@dataclass(frozen=True)
class Call:
    """An HTTP request, framed correctly whatever it holds."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False

    def raw(self) -> bytes:
        """Return its bytes."""
        framing = "transfer-encoding: chunked" if self.chunked else f"content-length: {len(self.body)}"
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {HOST}", framing]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        head = "\r\n".join([*lines, "\r\n"]).encode("latin-1")
        return head + (self._chunks() if self.chunked else self.body)

    def _chunks(self) -> bytes:
        half = len(self.body) // 2
        pieces = (self.body[:half], self.body[half:])
        return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the server said that this connection ends."""
        return self.headers.get("connection") == "close"


class Line:
    """A kept-alive connection; opened when it is needed, and again after the server announced its end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, call: Call) -> Answer:
        """Return the answer to a call.

        Raises:
            DroppedError: There is none.
        """
        if self._pair is None:
            self._pair = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._pair
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(call.raw())
                answer = await read_answer(reader, bodiless=call.method == "HEAD")
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            self.close()
            raise DroppedError(f"{type(error).__name__} in place of an answer") from None
        if answer.closes:
            self.close()
        return answer

    def close(self) -> None:
        """End the connection."""
        if self._pair is not None:
            self._pair[1].close()
            self._pair = None


async def read_answer(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Answer:
    """Read one answer.

    Raises:
        IncompleteReadError: The connection ended before.
        ValueError: This is no HTTP.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    version, status, *_ = first.split(" ")
    if version != "HTTP/1.1":
        raise ValueError(first)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = b"" if bodiless else await reader.readexactly(int(headers["content-length"]))
    return Answer(int(status), headers, body)
