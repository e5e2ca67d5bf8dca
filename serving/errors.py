"""Every error of the predictor, and the one table that gives it an HTTP and a gRPC status.

PredictorError
├── SettingsError             the process can't start like this
└── RequestError              a request gets no answer
    ├── InvalidInputError     the client can mend it
    ├── TooLargeError         the client can send less
    ├── HeadersTooLargeError  the client can send fewer headers
    ├── MediaTypeError        the body is in a form that this server does not read
    ├── MethodError           the path does not take this method
    ├── UnknownModelError     another model, version or path was asked for
    ├── UnknownRequestError   no answer of this server goes by that id
    ├── UnsupportedError      nothing that this server does
    ├── SlowError             the request did not arrive in time
    ├── OverloadedError       more requests wait than may; the client can come back
    ├── ExpiredError          the answer would come too late
    ├── DisconnectedError     the client left before its answer
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
    """The request breaks the protocol or the model's signature."""


class TooLargeError(RequestError):
    """The request has more bytes than the server reads."""


class HeadersTooLargeError(RequestError):
    """The head of the request has more bytes than the server reads."""


class MediaTypeError(RequestError):
    """The body is in a form that this server does not read."""


class MethodError(RequestError):
    """The path does not take this method."""


class UnknownModelError(RequestError):
    """This server has no such model, version or path."""


class UnknownRequestError(RequestError):
    """This server remembers no answer by that id."""


class UnsupportedError(RequestError):
    """The operation exists in the protocol and not in this server."""


class SlowError(RequestError):
    """The request did not arrive within its time."""


class OverloadedError(RequestError):
    """More requests wait than may; nothing of this one was done."""


class ExpiredError(RequestError):
    """The time for an answer is over."""


class DisconnectedError(RequestError):
    """The client closed the connection before its answer was ready."""


class NotReadyError(RequestError):
    """The model has not proven itself yet."""


class InternalError(RequestError):
    """Something unforeseen; the message only names the request's id, the log has the traceback."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"internal error, see the log for request id {request_id}")


class Status(NamedTuple):
    """What a client sees of an error, and what the metrics call it."""

    http: int
    grpc: StatusCode
    reason: str = ""

    def code(self, protocol: str) -> str:
        """Return the code as ``protocol`` (``rest`` or ``grpc``) writes it."""
        return str(int(self.http)) if protocol == "rest" else str(self.grpc.name)


OK = Status(HTTPStatus.OK, StatusCode.OK)
STATUS: dict[type[RequestError], Status] = {
    InvalidInputError: Status(HTTPStatus.BAD_REQUEST, StatusCode.INVALID_ARGUMENT, "invalid"),
    TooLargeError: Status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, StatusCode.RESOURCE_EXHAUSTED, "body"),
    HeadersTooLargeError: Status(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, StatusCode.RESOURCE_EXHAUSTED, "headers"),
    MediaTypeError: Status(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, StatusCode.INVALID_ARGUMENT, "media_type"),
    MethodError: Status(HTTPStatus.METHOD_NOT_ALLOWED, StatusCode.UNIMPLEMENTED, "method"),
    UnknownModelError: Status(HTTPStatus.NOT_FOUND, StatusCode.NOT_FOUND, "unknown"),
    UnknownRequestError: Status(HTTPStatus.NOT_FOUND, StatusCode.NOT_FOUND, "unknown_request"),
    UnsupportedError: Status(HTTPStatus.NOT_IMPLEMENTED, StatusCode.UNIMPLEMENTED, "unsupported"),
    SlowError: Status(HTTPStatus.REQUEST_TIMEOUT, StatusCode.DEADLINE_EXCEEDED, "slow"),
    OverloadedError: Status(HTTPStatus.SERVICE_UNAVAILABLE, StatusCode.UNAVAILABLE, "overload"),
    ExpiredError: Status(HTTPStatus.GATEWAY_TIMEOUT, StatusCode.DEADLINE_EXCEEDED, "deadline"),
    # 499 has no standard name; proxies use it for a client that left.
    DisconnectedError: Status(499, StatusCode.CANCELLED, "left"),
    NotReadyError: Status(HTTPStatus.SERVICE_UNAVAILABLE, StatusCode.UNAVAILABLE, "not_ready"),
    InternalError: Status(HTTPStatus.INTERNAL_SERVER_ERROR, StatusCode.INTERNAL, "internal"),
}
