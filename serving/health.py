"""``python -m serving --health``: asks the server of this container whether it is ready, as an engine's health check.

Imports next to nothing, for it is started every few seconds beside a server that has better things to do.
"""

import argparse
import http.client
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing

READY = "/v2/health/ready"
SECONDS = 3.0
#: Addresses that mean all of this machine's: the server behind them is found on loopback.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not listened on)


def check(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return 0 if the server answers that it is ready, else 1 after one line on standard error.

    Args:
        arguments: ``--host`` and ``--http-port`` as the server has them.
        environment: Its environment, which is the server's own where the engine runs the check in its container.
    """
    parser = argparse.ArgumentParser(prog="python -m serving --health", allow_abbrev=False)
    parser.add_argument("--host", default=environment.get("SLIPWAY_HOST") or "127.0.0.1")
    parser.add_argument("--http-port", default=environment.get("SLIPWAY_HTTP_PORT") or "8080")
    given = parser.parse_args(arguments)
    host = EVERYWHERE.get(given.host, given.host)
    try:
        with closing(http.client.HTTPConnection(host, int(given.http_port), timeout=SECONDS)) as connection:
            connection.request("GET", READY)
            status = connection.getresponse().status
    except (OSError, ValueError, OverflowError, http.client.HTTPException) as error:
        return _unready(f"{host} port {given.http_port}: {error}; --http-port is the server's port")
    return 0 if status == http.HTTPStatus.OK else _unready(f"{READY} says {status}")


def _unready(why: str) -> int:
    sys.stderr.write(f"not ready: {why}\n")
    return 1
