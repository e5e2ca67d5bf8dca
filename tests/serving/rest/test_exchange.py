"""A connection and its site in one event loop: who answers when, and what becomes of clients that stay or leave."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from wire import LIVE

from serving.errors import OverloadedError
from serving.memory import Memory
from serving.rest import connection
from serving.rest.connection import Connection
from serving.rest.message import Response, refusal
from serving.server import loops
from serving.settings import Settings

GET = LIVE.replace(b"/v2/health/live", b"/slow")


class Site:
    """Keeps what it is asked, and answers when it is told to."""

    def __init__(self, **limits: object) -> None:
        self.settings = Settings(**limits)
        self.open: set[Connection] = set()
        self.memory = Memory(self.settings.max_pending_bytes)
        self.closing = False
        self.asked: list = []
        self.refusals: list = []
        self.size: int | None = None

    def handle(self, request, exchange):
        self.asked.append(exchange)
        if self.size is not None:
            exchange.respond(Response(b"x" * self.size))

    def objection(self, _request, *, crowded):
        return OverloadedError("too many") if crowded else None

    def refuse(self, exchange, error):
        self.refusals.append(error)
        exchange.respond(refusal(error))

    def sweep(self):
        now = asyncio.get_running_loop().time()
        for each in [each for each in self.open if each.deadline < now]:
            each.expire()


@asynccontextmanager
async def connected(site):
    """A client of a server of one site."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(site), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1 << 12)
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        await until(lambda: not site.open)


def played(story):
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        runner.run(story)


async def until(holds):
    async with asyncio.timeout(15):
        while not holds():  # noqa: ASYNC110  # of what is waited for, nobody tells
            await asyncio.sleep(0.01)


async def head(reader):
    async with asyncio.timeout(15):
        return await reader.readuntil(b"\r\n\r\n")


def test_a_request_waits_for_the_answer_to_the_one_before_it():
    async def run():
        site = Site()
        async with connected(site) as (reader, writer):
            writer.write(GET * 3)
            for number in range(3):
                await until(lambda number=number: len(site.asked) == number + 1)
                await asyncio.sleep(0.05)
                assert len(site.asked) == number + 1
                site.asked[-1].respond(Response(status=200 + number))
                assert f" {200 + number} ".encode() in await head(reader)

    played(run())


def test_requests_that_were_sent_together_are_handled_in_as_many_turns_of_the_event_loop():
    async def run():
        loop, site, turns = asyncio.get_running_loop(), Site(), []
        handle, turn = site.handle, 0
        site.size = 1

        def count():
            nonlocal turn
            turn += 1
            loop.call_soon(count)

        def noted(request, exchange):
            turns.append(turn)
            handle(request, exchange)

        site.handle = noted
        async with connected(site) as (_, writer):
            count()
            writer.write(GET * 10)
            await until(lambda: len(turns) == 10)
        assert turns == sorted(set(turns))

    played(run())


def test_a_second_answer_is_not_sent():
    async def run():
        site = Site()
        async with connected(site) as (reader, writer):
            writer.write(GET)
            await until(lambda: site.asked)
            first = site.asked[0]
            first.respond(Response(status=200))
            first.respond(Response(status=500))
            writer.write(GET)
            await until(lambda: len(site.asked) == 2)
            first.respond(Response(status=500))
            site.asked[1].respond(Response(status=201))
            assert [(await head(reader))[9:12] for _ in range(2)] == [b"200", b"201"]

    played(run())


def test_who_works_on_an_answer_is_told_once_that_the_client_left():
    async def run():
        site, told = Site(), []
        async with connected(site) as (_, writer):
            writer.write(GET)
            await until(lambda: site.asked)
            site.asked[0].gone = lambda: told.append("gone")
            writer.close()
            await until(lambda: told)
        site.asked[0].respond(Response())
        assert told == ["gone"]

    played(run())


def test_a_connection_that_is_cut_from_here_tells_it_at_once():
    async def run():
        site, told = Site(), []
        async with connected(site) as (_, writer):
            writer.write(GET)
            await until(lambda: site.asked)
            site.asked[0].gone = lambda: told.append("gone")
            for each in list(site.open):
                each.abort()
            assert told == ["gone"]
            assert not site.open
            site.asked[0].respond(Response())
            await asyncio.sleep(0.05)
        assert told == ["gone"]

    played(run())


@pytest.mark.parametrize("count", [1, 3])
def test_a_client_that_does_not_read_is_asked_nothing_more_and_let_go(monkeypatch, count):
    monkeypatch.setattr(connection, "SEND_SECONDS", 0.2)

    async def run():
        site = Site()
        site.size = 16 << 20  # more than the system keeps for both sides
        async with connected(site) as (_, writer):
            for _ in range(count):
                writer.write(GET)
                await asyncio.sleep(0.05)
            assert len(site.asked) == 1
            await asyncio.sleep(0.2)
            site.sweep()
            await until(lambda: not site.open)
        assert len(site.asked) == 1
        assert site.memory.used == 0

    played(run())


def test_a_client_that_reads_late_gets_everything():
    async def run():
        site = Site()
        site.size = 16 << 20
        async with connected(site) as (reader, writer):
            for _ in range(3):
                writer.write(GET)
                await asyncio.sleep(0.05)
            for number in range(3):
                assert b" 200 " in await head(reader)
                await reader.readexactly(site.size)
                assert len(site.asked) >= number + 1
            await until(lambda: len(site.asked) == 3)

    played(run())


def test_a_connection_that_nobody_uses_is_closed_after_its_time(monkeypatch):
    monkeypatch.setattr(connection, "KEEP_ALIVE_SECONDS", 0.2)

    async def run():
        site = Site()
        site.size = 0
        async with connected(site) as (reader, writer):
            writer.write(GET)
            await head(reader)
            site.sweep()
            assert site.open
            await asyncio.sleep(0.25)
            site.sweep()
            assert await reader.read() == b""
        assert not site.refusals

    played(run())


def test_the_time_of_a_request_does_not_pass_while_it_is_answered():
    async def run():
        site = Site(receive_seconds=0.1)
        async with connected(site) as (reader, writer):
            writer.write(GET)
            await until(lambda: site.asked)
            await asyncio.sleep(0.2)
            site.sweep()
            site.asked[0].respond(Response())
            assert b" 200 " in await head(reader)

    played(run())


def test_an_ending_site_answers_what_has_arrived_and_closes_behind_the_last():
    async def run():
        site = Site()
        async with connected(site) as (reader, writer):
            writer.write(GET * 2)
            await until(lambda: site.asked)
            site.closing = True
            site.asked[0].respond(Response())
            site.asked[1].respond(Response())
            assert [b"connection: close" in await head(reader) for _ in range(2)] == [False, True]
            assert await reader.read() == b""

    played(run())


def test_only_a_connection_on_which_nothing_goes_on_is_closed_as_idle():
    async def run():
        site = Site()
        async with connected(site) as (reader, writer):
            writer.write(GET)
            await until(lambda: site.asked)
            (served,) = site.open
            served.close_idle()
            site.asked[0].respond(Response())
            assert b" 200 " in await head(reader)
            writer.write(GET[:10])
            await asyncio.sleep(0.05)
            served.close_idle()
            writer.write(GET[10:])
            await until(lambda: len(site.asked) == 2)
            site.asked[1].respond(Response())
            assert b" 200 " in await head(reader)
            served.close_idle()
            assert await reader.read() == b""

    played(run())
