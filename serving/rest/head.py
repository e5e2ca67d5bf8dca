"""What a request is told by its head alone, before its body is read.

Refuses what llhttp lets through and this server does not take: a second host, another version than 1.1 and 1.0, a
transfer coding besides chunks, a body that another protocol is asked for. For ``serving/rest/connection.py``.
"""

import re
from urllib.parse import unquote

from serving.errors import HeadersTooLargeError, InvalidInputError, RequestError, TooLargeError
from serving.rest.message import Request
from serving.settings import Limits

MAX_HEADERS = 100


def path(target: bytes) -> str:
    """Return the path of a request's target, without its query; percent signs decoded, but for those of slashes."""
    text = target.split(b"?", 1)[0].decode("latin-1")
    if not text.startswith("/") and "://" in text:  # proxies are sent the whole URL, and may pass it on
        text = "/" + text.split("://", 1)[1].partition("/")[2]
    return unquote(re.sub("%2[Ff]", "%252F", text)) if "%" in text else text


def objection(request: Request, version: str, fields: int, limits: Limits) -> RequestError | None:
    """Return why a request is not taken, if it is not.

    Args:
        request: With its headers and without its body.
        version: Of HTTP, as ``1.1``.
        fields: How many headers it has, repeated ones included.
        limits: What may be used up.
    """
    headers = request.headers
    if fields > MAX_HEADERS:
        return HeadersTooLargeError(f"the request has more than {MAX_HEADERS} headers; send fewer")
    if version == "1.1":
        if "," in headers.get("host", ","):
            return InvalidInputError("the header 'host' is missing or there twice; HTTP/1.1 wants it once")
    elif version != "1.0":
        return InvalidInputError("this server speaks HTTP/1.1 and 1.0; send one of them")
    if ("transfer-encoding" in headers or "upgrade" in headers) and (error := _framing(headers, version)):
        return error
    if int(headers.get("content-length", 0)) > limits.max_body_bytes:
        return too_large(limits)
    return None


def oversized(request: Request, target: bytes, limits: Limits) -> RequestError | None:
    """Return the error of a head with more bytes than a client may send, if it has."""
    size = len(target) + sum(len(name) + len(value) + 4 for name, value in request.headers.items())
    return head_too_large(limits) if size > limits.max_header_bytes else None


def head_too_large(limits: Limits) -> HeadersTooLargeError:
    """Return the error of a head with too many bytes."""
    most = limits.max_header_bytes
    return HeadersTooLargeError(f"the head of the request has more than {most} bytes; send fewer headers")


def too_large(limits: Limits) -> TooLargeError:
    """Return the error of a body with too many bytes."""
    return TooLargeError(f"the body has more than {limits.max_body_bytes} bytes; send fewer rows")


def _framing(headers: dict[str, str], version: str) -> RequestError | None:
    chunked = headers.get("transfer-encoding")
    if chunked is not None and (version == "1.0" or chunked.lower() != "chunked"):
        return InvalidInputError("the header 'transfer-encoding' is only taken as 'chunked', and only in HTTP/1.1")
    asked = "upgrade" in headers and "upgrade" in headers.get("connection", "").lower()
    if asked and (chunked is not None or headers.get("content-length", "0") != "0"):
        return InvalidInputError("this server speaks HTTP/1.1 alone; leave the header 'upgrade' out")
    return None
