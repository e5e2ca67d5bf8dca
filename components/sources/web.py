"""One file from the web: downloaded in several tries, gone on with where it stopped, from public addresses alone.

Refused: a redirect that leads to an address that is not public, and what :mod:`components.sources.limits` refuses.
"""

import ipaddress
import re
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from components.console import say
from components.errors import ConfigError, DataError
from components.sources.limits import allow, check, progress
from modelpackage import file_digest

PLACES = "a path, file:///path, s3://bucket/prefix/ or https://host/file"
MOST_REDIRECTS = 5
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0)  # seconds before each try
TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
BLOCK = 1 << 18
PORTS = {"https": 443, "http": 80}
REDIRECTS = (301, 302, 303, 307, 308)
OK, PARTIAL = 200, 206
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
#: All public IPv6 addresses, and those that stand for an IPv4 address on networks without IPv4.
PUBLIC, TRANSLATED = ipaddress.IPv6Network("2000::/3"), ipaddress.IPv6Network("64:ff9b::/96")


class _AgainError(Exception):
    """Another try may cure it; what has come so far is kept."""


def split(url: str) -> SplitResult:
    """Split a URL, its host in ASCII."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
        return parts._replace(netloc=parts.netloc.encode("idna").decode("ascii"))
    except ValueError as error:
        raise ConfigError(f"{shown(url)} is no URL: {error}; use {PLACES}") from None


def shown(url: str) -> str:
    """Return a URL as it may stand in a log: a query often holds a signature, what is before @ a password."""
    return re.sub(r"//[^/]*@", "//", url).partition("?")[0]


def download(url: str, target: Path, checksum: str | None, max_bytes: int) -> Path:
    """Download a file unless it is there, in several tries if it must be."""
    if target.exists() and (not checksum or file_digest(target) == checksum):
        return target
    target.parent.mkdir(exist_ok=True)
    say(f"downloading {target.name}")
    for pause in PAUSES:
        time.sleep(pause)
        try:
            _attempt(url, target, max_bytes)
            break
        except _AgainError as error:
            fault = str(error)
            say(f"{target.name}: {fault}")
    else:
        raise DataError(f"{shown(url)}: {fault}, and {len(PAUSES)} tries were made; run again to go on from there")
    check(target, checksum, fetched=True)
    return target


def _attempt(url: str, target: Path, max_bytes: int) -> None:
    """Fetch what is missing of a file; the ETag beside the part that is here tells of which file it is a part."""
    partial, tag = target.with_name(f"{target.name}.partial"), target.with_name(f"{target.name}.etag")
    etag = tag.read_text() if tag.exists() else ""
    have = partial.stat().st_size if etag and partial.exists() else 0
    with closing(_asked(url, {"range": f"bytes={have}-", "if-range": etag} if have else {})) as answer:
        if answer.status in TRANSIENT:
            raise _AgainError(f"the server answered {answer.status}")
        span = answer.headers.get("content-range", "")
        goes_on = answer.status == PARTIAL and span.startswith(f"bytes {have}-")
        # Some servers know ranges but no If-Range; the end of another file must not be glued to this beginning.
        if have and answer.status != OK and not (goes_on and answer.headers.get("etag", etag) == etag):
            tag.unlink()
            raise _AgainError("it can't go on where it stopped and starts over")
        if answer.status != OK and not (have and goes_on):
            raise DataError(f"{shown(url)}: the server answered {answer.status}; check the address")
        have = have if answer.status == PARTIAL else 0
        length = span.rpartition("/")[2] if have else answer.headers.get("content-length", "")
        whole = int(length) if length.isdecimal() else None
        allow(shown(url), whole, max_bytes)
        with partial.open("ab" if have else "wb") as file:
            if not have:
                etag = answer.headers.get("etag", "")
                tag.write_text("" if etag.startswith("W/") else etag)  # a weak one does not promise the same bytes
            got = _stream(answer, file, have, max_bytes)
    if whole not in (None, got):
        raise _AgainError(f"the answer ended after {got} of {whole} bytes")
    partial.replace(target)
    tag.unlink(missing_ok=True)


def _stream(answer: urllib3.BaseHTTPResponse, file: IO[bytes], have: int, max_bytes: int) -> int:
    """Append what comes to a file and return its size."""
    tell, got = progress(Path(file.name).stem), have
    try:
        for block in answer.stream(BLOCK, decode_content=False):
            got += len(block)
            allow("what the server sends", got, max_bytes)
            file.write(block)
            tell(len(block))
    except HTTPError:
        raise _AgainError(f"the connection broke after {got} bytes") from None
    return got


def _asked(url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    """Follow redirects to an answer whose body is still to come."""
    named = here = split(url)
    for _ in range(MOST_REDIRECTS + 1):
        answer = _request(here, _addresses(here, named), headers)
        if answer.status not in REDIRECTS:
            return answer
        answer.close()
        before, here = here, split(urljoin(here.geturl(), answer.headers.get("location", "")))
        if here.scheme not in ("https", before.scheme) or not here.hostname or "@" in here.netloc:
            raise DataError(f"{shown(url)} leads to {shown(here.geturl())}, which is less safe; give another address")
    raise DataError(f"{shown(url)} leads through more than {MOST_REDIRECTS} redirects; give the final address")


def _addresses(parts: SplitResult, named: SplitResult) -> list[str]:
    """Look up a host, once, and refuse addresses that are not public unless the user named this very host and port."""
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    try:
        found = [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError:
        raise _AgainError(f"there is no host {host}") from None
    private = [ip for ip in found if not _public(ip)]
    if private and (host, port) != (named.hostname, named.port or PORTS[named.scheme]):
        raise DataError(f"{named.hostname} leads to {host}:{port} ({private[0]}), which is not public; name it itself")
    return found


def _public(ip: str) -> bool:
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address in TRANSLATED:
            return _public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        return address in PUBLIC and address.is_global and not (address.sixtofour or address.teredo)
    # Some Pythons take all of 192.0.0.0/24 for public, where a cloud keeps the metadata of its machines.
    return address.is_global and not address.is_multicast and not ip.startswith("192.0.0.")


def _request(parts: SplitResult, addresses: Sequence[str], headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    """Ask the first address that answers, under the name that the URL gives: a second look-up might lead elsewhere."""
    headers = {"host": parts.netloc, "user-agent": "slipway", "accept-encoding": "identity", **headers}
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kind = urllib3.HTTPSConnectionPool if parts.scheme == "https" else urllib3.HTTPConnectionPool
    tls: dict[str, Any] = {"server_hostname": parts.hostname} if parts.scheme == "https" else {}
    fault: HTTPError | None = None
    for ip in addresses:
        pool = kind(ip, parts.port or PORTS[parts.scheme], timeout=TIMEOUT, **tls)
        try:
            return pool.request("GET", path, headers=headers, redirect=False, retries=False, preload_content=False)
        except HTTPError as error:
            fault = error
            if not isinstance(error, NewConnectionError | ConnectTimeoutError):
                break
    if isinstance(fault, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(fault):
        raise DataError(f"{parts.hostname} has no certificate that this machine trusts: {fault}; set SSL_CERT_FILE")
    raise _AgainError(f"can't reach {parts.hostname} ({type(fault).__name__})")
