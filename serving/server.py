"""REST and gRPC in one event loop, from open ports to a drained exit.

The ports open only after the package is proven: until then a probe finds nothing, which is what not ready means, and
there is no half-started state to answer for. SIGTERM closes them, lets running requests end and returns. May import
kserve.
"""

import asyncio
import signal
import socket
from contextlib import AbstractContextManager, nullcontext

import uvicorn

from serving.errors import SettingsError
from serving.grpc_server import build_server
from serving.log import log
from serving.predictor import Plane, Predictor
from serving.rest import build_app
from serving.settings import Settings

try:
    import uvloop as loops
except ImportError:  # there is no build for this platform
    import asyncio as loops  # type: ignore[no-redef]  # both make loops

#: Longer than the idle time of the usual proxies (60 s), so that they and not we end a connection.
KEEP_ALIVE_SECONDS = 75


class HttpServer(uvicorn.Server):
    """Uvicorn that leaves the signals to us: it would end the process by the signal and not with exit code 0."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # one way to write a context manager
        """Capture none."""
        return nullcontext()


def run(predictor: Predictor, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: A port is taken, or the host is no address of this machine.
    """
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        runner.run(_serve(predictor, settings))
    log("stop")


async def _serve(predictor: Predictor, settings: Settings) -> None:
    plane = Plane(predictor)
    limit = settings.max_body_bytes
    rpc = build_server(plane, max_body_bytes=limit)
    try:
        grpc_port = rpc.add_insecure_port(f"{_quoted(settings.host)}:{settings.grpc_port}")
    except RuntimeError:  # gRPC's own words are for its developers
        where = f"{settings.host} port {settings.grpc_port}"
        raise SettingsError(f"can't listen on {where}: taken or not allowed; choose another --grpc-port") from None
    listener = _listen(settings.host, settings.http_port)
    http = HttpServer(
        uvicorn.Config(
            build_app(plane, max_body_bytes=limit),
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=settings.grace_seconds,
        )
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await rpc.start()
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    log(
        "ready",
        name=predictor.name,
        package=predictor.codec.package,
        http_port=listener.getsockname()[1],
        grpc_port=grpc_port,
    )
    await stop.wait()
    log("draining")
    predictor.draining = True
    http.should_exit = True
    await asyncio.gather(serving, rpc.stop(settings.grace_seconds))
    predictor.stop()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise SettingsError(
            f"can't listen on {host} port {port}: {reason}; choose another --host or --http-port"
        ) from None


def _quoted(host: str) -> str:
    return f"[{host}]" if ":" in host else host
