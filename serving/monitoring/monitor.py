"""The beginning and the end of an inference request, as metrics, log and traces see it.

For ``serving/rest`` and ``serving/rpc``; used in the event loop alone.
"""

import traceback
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Literal
from uuid import uuid4

from serving import log
from serving.errors import OK, STATUS, InternalError, RequestError
from serving.monitoring.metrics import Metrics
from serving.monitoring.tracing import Tracing

Protocol = Literal["rest", "grpc"]
#: Enough of the package's digest to find it.
DIGITS = 12


class Visit:
    """What is known about a request so far.

    Attributes:
        protocol: That it came by.
        rows: Of its answer.
        begun: By ``perf_counter``.
        span: Of the trace, where there is one.
    """

    __slots__ = ("_id", "begun", "protocol", "rows", "span")

    def __init__(self, protocol: Protocol, span: Any = None) -> None:
        self.protocol = protocol
        self._id = ""
        self.rows = 0
        self.begun = perf_counter()
        self.span = span

    @property
    def request_id(self) -> str:
        """The client's id, or one that is made when first needed: that takes as long as reading a small request."""
        if not self._id:
            self._id = uuid4().hex
        return self._id

    @request_id.setter
    def request_id(self, given: str) -> None:
        self._id = given


class Monitor:
    """Counts, times, logs and traces inference requests.

    Args:
        metrics: What to count in.
        digest: Of the package that is served.
        quiet: Whether only requests without an answer get a log line.
        tracing: Where spans go, if anywhere.
    """

    def __init__(self, metrics: Metrics, digest: str, *, quiet: bool = False, tracing: Tracing | None = None) -> None:
        self.metrics = metrics
        self._digest = digest[:DIGITS]
        self._quiet = quiet
        self._tracing = tracing

    @property
    def traced(self) -> bool:
        """Whether :meth:`begin` looks at headers."""
        return self._tracing is not None

    def begin(self, protocol: Protocol, operation: str, headers: Mapping[str, str], path: str | None = None) -> Visit:
        """Note that a request has begun.

        Args:
            protocol: That it came by.
            operation: The route or the method, see :meth:`serving.monitoring.tracing.Tracing.start`.
            headers: Or metadata, which say what trace it belongs to.
            path: What the client asked for over HTTP.
        """
        self.metrics.in_flight[protocol] += 1
        return Visit(protocol, self._tracing.start(operation, headers, path) if self._tracing else None)

    def end(self, visit: Visit, error: RequestError | None = None) -> None:
        """Note that a request has got its answer, or the error instead."""
        status = OK if error is None else STATUS[type(error)]
        code = status.code(visit.protocol)
        self.metrics.in_flight[visit.protocol] -= 1
        self.metrics.requests[visit.protocol, code] += 1
        if error is not None:
            self.metrics.refusals[status.reason] += 1
        if error is not None or not self._quiet:
            milliseconds = (perf_counter() - visit.begun) * 1000
            line = log.request_line(visit.request_id, code, self._digest, milliseconds, visit.rows, visit.protocol)
            log.output.append(line)
        if visit.span is not None and self._tracing is not None:
            self._tracing.finish(visit.span, code, visit.rows)

    def refused(self, error: RequestError) -> None:
        """Count a request that was refused before anyone knew what it asks for."""
        self.metrics.refusals[STATUS[type(error)].reason] += 1


def known(error: Exception, request_id: str) -> RequestError:
    """Return an error as the client may see it; one that is our fault is logged with its traceback."""
    if isinstance(error, RequestError):
        return error
    log.log("fault", id=log.loggable(request_id), traceback="".join(traceback.format_exception(error)))
    return InternalError(request_id)
