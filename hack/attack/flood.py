"""Attacks on the connection: half requests, endless bodies, bodies in crumbs, and requests for nothing."""

import asyncio
import socket
import time
from pathlib import Path
from random import Random

from attack import words
from attack.client import Call, DroppedError, Line
from attack.ground import Ground, Outcome
from attack.process import HOST, MEGABYTE, Predictor

PIECE = bytes(MEGABYTE)
#: Memory may rise by the largest body and this.
SLACK_MB = 20
#: After its deadline a connection may take this long to be gone.
LATE_SECONDS = 2.0
CRUMBS, CRUMBS_EACH = b"1\r\n0\r\n" * 1000, 1000
PATIENCE, LOOK_SECONDS = 10, 0.1
#: Connections of the good client, at most.
BYSTANDERS = 16
JUNK_LINES = 4


def half_open(ground: Ground) -> Outcome:
    """Send half a head or half a body on many connections, some of them in trickles, and never close one."""
    scale = ground.scale
    deadline = scale.receive_seconds + LATE_SECONDS
    flags = ("--receive-seconds", str(scale.receive_seconds), "--max-connections", "4096")
    with ground.start(*flags) as predictor:
        attack = HalfOpen(predictor, ground, deadline + PATIENCE)
        beside = ground.beside(predictor, lambda: asyncio.run(attack.run()), seconds=deadline + 1)
    passed = attack.closed == scale.connections and max(attack.slowest, attack.released) <= deadline
    return Outcome(
        f"{attack.closed} of {scale.connections} closed within {attack.slowest:.2f} s, the server was rid of all after "
        f"{attack.released:.2f} s; {beside}",
        f"all within {deadline:g} s, p99 < {beside.bound:.1f} ms",
        passed and beside.unharmed,
    )


class HalfOpen:
    """Many half requests.

    Attributes:
        closed: How many the server ended.
        slowest: When the last client saw that, in seconds from the last half.
        released: When the server had no such connection any more.
    """

    def __init__(self, predictor: Predictor, ground: Ground, patience: float) -> None:
        self._predictor, self._count, self._patience = predictor, ground.scale.connections, patience
        call = ground.good().raw()
        self._halves = call[: call.index(b"\r\n") + 4], call[:-5]
        self.closed, self.slowest, self.released = 0, 0.0, 0.0

    async def run(self) -> None:
        before = self._sockets()
        pairs = [await self._one(number) for number in range(self._count)]
        begun = time.monotonic()
        seconds = await asyncio.gather(
            *(self._wait(*pair, trickle=number % 3 == 0) for number, pair in enumerate(pairs)), self._release(before)
        )
        ended = [second - begun for second in seconds if second]
        *ends, self.released = ended
        self.closed, self.slowest = len(ends), max(ends, default=0)
        for _, writer in pairs:
            writer.close()

    async def _one(self, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(HOST, self._predictor.http)
        writer.write(self._halves[number % 2])
        return reader, writer

    async def _wait(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, trickle: bool) -> float:
        """Return when the server ended the connection; 0 if it never did."""
        limit = time.monotonic() + self._patience
        while time.monotonic() < limit:
            try:
                async with asyncio.timeout(0.5):
                    if not await reader.read(1 << 16):
                        return time.monotonic()
            except TimeoutError:
                if trickle:
                    writer.write(b"x")
            except OSError:
                return time.monotonic()
        return 0.0

    async def _release(self, before: int) -> float:
        limit = time.monotonic() + self._patience
        while self._sockets() > before + BYSTANDERS and time.monotonic() < limit:  # noqa: ASYNC110  # /proc tells nobody
            await asyncio.sleep(LOOK_SECONDS)
        return time.monotonic()

    def _sockets(self) -> int:
        """Return how many files the server has open, besides those of the good client."""
        return len(list(Path(f"/proc/{self._predictor.process.pid}/fd").iterdir()))


def flood_body(ground: Ground) -> Outcome:
    """Send a body without end, announced and in chunks."""
    with ground.start() as predictor:
        ask(predictor, ground.good())
        before = predictor.memory()
        predictor.forget_peak()
        statuses = [_flood(predictor, ground, chunked=chunked) for chunked in (False, True)]
        rise = predictor.memory(peak=True) - before
        bound = ground.model.limits["max_body_bytes"] / MEGABYTE + SLACK_MB
        after = ask(predictor, ground.good())
    return Outcome(
        f"memory rose by {rise:.1f} MB, answers {statuses}, then a good request {after}",
        f"< {bound:.0f} MB, 413 and 413, 200",
        rise < bound and statuses == [413, 413] and after == 200,
    )


def _flood(predictor: Predictor, ground: Ground, *, chunked: bool) -> int:
    framing = "transfer-encoding: chunked" if chunked else f"content-length: {ground.scale.flood_bytes}"
    head = f"POST {ground.model.path} HTTP/1.1\r\nhost: {HOST}\r\n{framing}\r\n\r\n".encode()
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE
    return blast(predictor, head, piece, ground.scale.flood_bytes // len(PIECE))


def blast(predictor: Predictor, head: bytes, piece: bytes, count: int) -> int:
    """Send a head and a piece many times, however the server takes it; return the status of its answer, or 0."""
    with socket.create_connection((HOST, predictor.http), PATIENCE) as connection:
        connection.sendall(head)
        try:
            for _ in range(count):
                connection.sendall(piece)
        except OSError:
            pass  # the server has had enough
        try:
            answer = connection.recv(1 << 16)
        except OSError:
            return 0
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


def chunks(ground: Ground) -> Outcome:
    """Send a body of small size in chunks of one byte."""
    head = f"POST {ground.model.path} HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    statuses: list[int] = []
    spent: list[float] = []

    def attack() -> None:
        begun = predictor.cpu_seconds()
        statuses.append(blast(predictor, head, CRUMBS, ground.scale.chunks // CRUMBS_EACH))
        spent.append(predictor.cpu_seconds() - begun)

    with ground.start() as predictor:
        beside = ground.beside(predictor, attack, seconds=ground.scale.seconds)
    return Outcome(
        f"{ground.scale.chunks} chunks answered {statuses[0]} for {spent[0]:.2f} s of CPU; {beside}",
        f"400 or 413, p99 < {beside.bound:.1f} ms",
        statuses[0] in (400, 413) and beside.unharmed,
    )


def junk(ground: Ground) -> Outcome:
    """Ask for everything that does not exist, under all names."""
    random = Random(0)  # noqa: S311  # no secret
    with ground.start() as predictor:
        for call in (ground.good(), *ground.bad(), Call("POST", "/x"), Call("GET", "/v2")):
            ask(predictor, call)
        asyncio.run(_junk(predictor, [_nonsense(random, ground) for _ in range(100)]))
        before = predictor.series()
        lost = asyncio.run(_junk(predictor, [_nonsense(random, ground) for _ in range(ground.scale.junk)]))
        more = predictor.series() - before
        kilobytes = predictor.memory()
    return Outcome(
        f"{len(before)} metric series {len(more):+d} after {ground.scale.junk} requests, {lost} of them lost, "
        f"memory {kilobytes:.0f} MB",
        "+0, 0 lost",
        not more and not lost,
    )


def _nonsense(random: Random, ground: Ground) -> Call:
    name = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789-_.~%25/", k=random.randint(1, 60)))
    path = random.choice(("/", "/v2/models/", "/v2/", "/v1/models/", f"{ground.model.path}/", "/metrics/")) + name
    path = path.replace("%", "%25")
    key = "x-" + "".join(random.choices("abcdefghijklmnop", k=12))
    body = random.choice((b"", b"{}", b'{"id":"%d"}' % random.getrandbits(60), ground.good().body))
    path = random.choice((path, path, ground.model.path, ground.model.path.replace("/infer", f"/versions/{key}/infer")))
    return Call(random.choice((*words.METHODS, "POST")), path, body, {key: name.replace("%", ""), "user-agent": name})


async def _junk(predictor: Predictor, calls: list[Call]) -> int:
    """Return how many calls got no answer, or one that is the server's fault."""
    waiting = iter(calls)
    lost = 0

    async def one() -> None:
        nonlocal lost
        line = Line(predictor.http)
        for call in waiting:
            try:
                lost += (await line.ask(call)).status >= 500
            except DroppedError:
                lost += 1
        line.close()

    await asyncio.gather(*(one() for _ in range(JUNK_LINES)))
    return lost


def ask(predictor: Predictor, call: Call) -> int:
    """Ask once; return the status, or 0."""

    async def once() -> int:
        line = Line(predictor.http)
        try:
            return (await line.ask(call)).status
        except DroppedError:
            return 0
        finally:
            line.close()

    return asyncio.run(once())
