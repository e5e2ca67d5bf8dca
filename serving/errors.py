"""Every error of the predictor, and the one table that gives it an HTTP and a gRPC status.

PredictorError
├── SettingsError             the process can't start like this
└── RequestError              a request gets no answer
    ├── InvalidInputError     the client can mend it
    ├── TooLargeError         the client can send less
    ├── UnknownModelError     another model or version was asked for
    ├── UnsupportedError      nothing that this server does
    ├── DisconnectedError     the client left before its request was whole
    ├── NotReadyError         the model is not proven yet
    └── InternalError         our fault; the log knows why

Nothing of the transport is known here but the numbers. May be imported by every module of ``serving``.
"""

from http import HTTPStatus
from typing import NamedTuple

from grpc import StatusCode


class PredictorError(Exception):
    """The base of all; the message says what is wrong and what to do."""


class SettingsError(PredictorError):
    """A setting is not usable."""


class RequestError(PredictorError):
    """A request is not answered; the message goes to the client."""


class InvalidInputError(RequestError):
    """The request breaks the v2 protocol or the model's signature."""


class TooLargeError(RequestError):
    """The request has more bytes than the server reads."""


class UnknownModelError(RequestError):
    """This server has no such model or version."""


class UnsupportedError(RequestError):
    """The operation exists in the protocol and not in this server."""


class DisconnectedError(RequestError):
    """The client closed the connection before its request was whole."""


class NotReadyError(RequestError):
    """The model has not proven itself yet."""


class InternalError(RequestError):
    """Something unforeseen; the message only names the request's id, the log has the traceback."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"internal error, see the log for request id {request_id}")


class Status(NamedTuple):
    """What a client sees: the number over HTTP, the code over gRPC."""

    http: int
    grpc: StatusCode

    def code(self, protocol: str) -> str:
        """Return the code as ``protocol`` (``rest`` or ``grpc``) writes it."""
        return str(int(self.http)) if protocol == "rest" else str(self.grpc.name)


OK = Status(HTTPStatus.OK, StatusCode.OK)
#: 499 has no standard name; proxies use it for a client that left.
GONE = Status(499, StatusCode.CANCELLED)
STATUS: dict[type[RequestError], Status] = {
    InvalidInputError: Status(HTTPStatus.BAD_REQUEST, StatusCode.INVALID_ARGUMENT),
    TooLargeError: Status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, StatusCode.RESOURCE_EXHAUSTED),
    UnknownModelError: Status(HTTPStatus.NOT_FOUND, StatusCode.NOT_FOUND),
    UnsupportedError: Status(HTTPStatus.NOT_IMPLEMENTED, StatusCode.UNIMPLEMENTED),
    DisconnectedError: GONE,
    NotReadyError: Status(HTTPStatus.SERVICE_UNAVAILABLE, StatusCode.UNAVAILABLE),
    InternalError: Status(HTTPStatus.INTERNAL_SERVER_ERROR, StatusCode.INTERNAL),
}
