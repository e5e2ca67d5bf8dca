"""What the predictor tells about itself: metrics with a bounded set of labels, and one log line per request.

kserve adds ``request_{preprocess,predict,postprocess}_seconds`` to the same registry. No value of a client becomes a
label.
"""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal
from uuid import uuid4

from prometheus_client import Counter, Gauge

from modelpackage import Package
from serving.errors import GONE, OK, STATUS, InternalError, RequestError
from serving.log import log

REQUESTS = Counter("slipway_requests", "Answered inference requests", ["protocol", "code"])
IN_FLIGHT = Gauge("slipway_requests_in_flight", "Inference requests being answered", ["protocol"])
PACKAGE = Gauge("slipway_package_info", "The package that is served, always 1", ["name", "digest", "format"])
LOAD_SECONDS = Gauge("slipway_load_seconds", "Time to open and prove the package, in seconds")

#: Keeps a request's log line under 200 bytes.
LOGGED_ID_CHARACTERS = 48
#: Enough of the package's digest to find it, put into every line once a package is loaded.
DIGITS = 12
_served: dict[str, str] = {}
NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")


@dataclass(slots=True)
class Visit:
    """What is known about a request so far; the log line is made of it."""

    id: str = field(default_factory=lambda: uuid4().hex)
    rows: int = 0


@contextmanager
def watch(protocol: Literal["rest", "grpc"]) -> Iterator[Visit]:
    """Count, time and log one inference request.

    Raises:
        RequestError: That of the body; anything unforeseen is logged and becomes an :class:`InternalError`.
    """
    visit, status, started = Visit(), GONE, perf_counter()
    in_flight = IN_FLIGHT.labels(protocol)
    in_flight.inc()
    try:
        yield visit
        status = OK
    except RequestError as error:
        status = STATUS[type(error)]
        raise
    except Exception as error:
        status = STATUS[InternalError]
        raise unforeseen(error, visit.id) from error
    finally:
        in_flight.dec()
        code = status.code(protocol)
        REQUESTS.labels(protocol, code).inc()
        milliseconds = round((perf_counter() - started) * 1000, 3)
        told = {"id": _loggable(visit.id), "code": code, **_served}
        log("request", **told, ms=milliseconds, rows=visit.rows, protocol=protocol)


def unforeseen(error: Exception, request_id: str) -> InternalError:
    """Log an error that is our fault, with its traceback, and return what the client may know of it."""
    log("fault", id=_loggable(request_id), traceback="".join(traceback.format_exception(error)))
    return InternalError(request_id)


def loaded(package: Package, name: str, seconds: float) -> None:
    """Publish which package is served and how long it took to load."""
    _served["digest"] = package.digest[:DIGITS]
    PACKAGE.labels(name, package.digest, package.descriptor.format).set(1)
    LOAD_SECONDS.set(seconds)


def _loggable(request_id: str) -> str:
    """Shorten a client's id, and replace what would need escapes, so that it can't stretch a line."""
    return NOT_PLAIN.sub("?", request_id[:LOGGED_ID_CHARACTERS])
