"""REST and gRPC in one event loop, from open ports to a drained exit.

The ports open only after the package is proven: until then a probe finds nothing, which is what not ready means.
SIGTERM turns readiness off and goes on answering, with every connection told to close, until the time for others to
notice is over; then the ports close, what runs is finished, and the process ends with 0. SIGINT does not wait for
others to notice, and a second signal does not wait for what runs either.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence

from grpc import aio

from serving.errors import SettingsError
from serving.log import log
from serving.monitoring.monitor import Monitor
from serving.predictor import Predictor
from serving.rest.site import Site
from serving.rpc.server import build_server
from serving.settings import Settings

try:
    import uvloop as loops
except ImportError:  # there is no build for this platform
    import asyncio as loops  # type: ignore[no-redef]  # both make loops

SWEEP_SECONDS = 0.25
BACKLOG = 2048


def run(build: Callable[[], tuple[Predictor, Monitor, Site]], settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        build: Makes what is served, in the event loop.
        settings: Where to listen, and how long to drain.

    Raises:
        SettingsError: A port is taken, or the host is no address of this machine.
    """
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        runner.run(_serve(build, settings))
    log("stop")


async def _serve(build: Callable[[], tuple[Predictor, Monitor, Site]], settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    stages = ending, hurry, now = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, _signalled, stages, 1)
    loop.add_signal_handler(signal.SIGINT, _signalled, stages, 2)
    with _listen(settings.host, settings.http_port) as listener:
        predictor, monitor, site = build()
        rpc = build_server(predictor, monitor, settings)
        grpc_port = _add_port(rpc, settings)
        http = await loop.create_server(site.connect, sock=listener, backlog=BACKLOG)
        await rpc.start()
        sweeping = asyncio.create_task(_sweep(site))
        http_port = listener.getsockname()[1]
        log("ready", name=predictor.name, package=predictor.writer.package, http_port=http_port, grpc_port=grpc_port)
        await ending.wait()
        log("draining", seconds=settings.drain_seconds)
        predictor.draining = site.closing = True
        await _unless(hurry, settings.drain_seconds)
        http.close()
        await _ended(site, rpc, now, settings.grace_seconds)
        sweeping.cancel()
        predictor.stop()


async def _ended(site: Site, rpc: aio.Server, now: asyncio.Event, seconds: float) -> None:
    """Finish what was accepted within the time, or until the event."""
    for connection in list(site.open):
        connection.close_idle()
    emptied = asyncio.gather(rpc.stop(seconds), _emptied(site, now, seconds))
    hurried = asyncio.create_task(now.wait())
    await asyncio.wait((emptied, hurried), return_when=asyncio.FIRST_COMPLETED)
    if now.is_set():
        await rpc.stop(0)
    await emptied
    hurried.cancel()


def _add_port(rpc: aio.Server, settings: Settings) -> int:
    try:
        return int(rpc.add_insecure_port(f"{_quoted(settings.host)}:{settings.grpc_port}"))
    except RuntimeError:  # gRPC's own words are for its developers
        where = f"{settings.host} port {settings.grpc_port}"
        raise SettingsError(f"can't listen on {where}: taken or not allowed; choose another --grpc-port") from None


def _signalled(stages: Sequence[asyncio.Event], first: int) -> None:
    """Begin as many stages of the end as a first signal asks for; after that, all."""
    for stage in stages if stages[0].is_set() else stages[:first]:
        stage.set()


async def _sweep(site: Site) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        site.sweep()


async def _unless(event: asyncio.Event, seconds: float) -> None:
    """Sleep, and no longer than until the event."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


async def _emptied(site: Site, now: asyncio.Event, seconds: float) -> None:
    """Wait until every connection is closed, and close what is left after that time, or at the event."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while site.open and loop.time() < end and not now.is_set():
        await asyncio.sleep(0.01)
        for connection in list(site.open):
            connection.close_idle()
    for connection in list(site.open):
        connection.abort()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise SettingsError(
            f"can't listen on {host} port {port}: {reason}; choose another --host or --http-port"
        ) from None


def _quoted(host: str) -> str:
    return f"[{host}]" if ":" in host else host
