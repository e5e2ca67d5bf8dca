"""A data URI in, a local file or folder out: nothing copied that is here, everything else fetched once and checked.

Refused: what is larger than allowed or has another checksum, plain http without one, and a redirect that leads to an
address that is not public. For ``components/ingest.py``.
"""

import fcntl
import hashlib
import ipaddress
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from components.archive import is_archive, opened
from components.console import say
from components.errors import ConfigError, DataError
from components.store import mirror, open_store
from components.transfer import readable
from modelpackage import file_digest

NO_FILE = "is a folder, and a checksum is of one file; leave data.checksum out"
PLACES = "a path, file:///path, s3://bucket/prefix/ or https://host/file"
MOST_REDIRECTS = 5
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0)  # seconds before each try
TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
BLOCK, TELL_SECONDS = 1 << 18, 5.0
PORTS = {"https": 443, "http": 80}
REDIRECTS = (301, 302, 303, 307, 308)
OK, PARTIAL = 200, 206
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
#: All public IPv6 addresses, and those that stand for an IPv4 address on networks without IPv4.
PUBLIC, TRANSLATED = ipaddress.IPv6Network("2000::/3"), ipaddress.IPv6Network("64:ff9b::/96")


class _AgainError(Exception):
    """Another try may cure it; what has come so far is kept."""


def bring(uri: str, folder: Path, *, checksum: str | None = None, max_bytes: int, members: Sequence[str] = ()) -> Path:
    """Return a local file or folder that holds what a URI names; an archive is unpacked.

    Args:
        uri: A path, ``file:///path``, ``s3://bucket/prefix/`` or ``https://host/file``.
        folder: Where fetched things are kept; a later call goes on with them.
        checksum: SHA-256 that a single file must have, 64 hexadecimal digits.
        max_bytes: The most that is fetched or unpacked.
        members: Names of the files to fetch below a URL that ends with a slash, which can't be listed.

    Raises:
        ConfigError: The URI names nothing that can be fetched.
        DataError: What it names is missing, unsafe, too large, or has another checksum.
        StoreError: The object store can't be reached.
    """
    parts = _split(uri if "://" in uri else "")
    place = _here(uri, parts, checksum)
    if place and not is_archive(place):
        return place
    kept = folder / hashlib.sha256(uri.encode()).hexdigest()[:16]
    with _alone(kept):
        if place is None and parts.scheme == "s3":
            place = _from_store(uri, kept, checksum, max_bytes)
        elif place is None:
            place = _from_web(uri, kept / "files", checksum, max_bytes, members)
        return opened(place, kept, max_bytes) if is_archive(place) else place


def _split(url: str) -> SplitResult:
    """Split a URL, its host in ASCII."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
        return parts._replace(netloc=parts.netloc.encode("idna").decode("ascii"))
    except ValueError as error:
        raise ConfigError(f"{_shown(url)} is no URL: {error}; use {PLACES}") from None


def _shown(url: str) -> str:
    """Return a URL as it may stand in a log: a query often holds a signature, what is before @ a password."""
    return re.sub(r"//[^/]*@", "//", url).partition("?")[0]


def _here(uri: str, parts: SplitResult, checksum: str | None) -> Path | None:
    """Return what a URI names on this machine, None if it names another place."""
    if "://" in uri and not (parts.scheme == "file" and parts.netloc in ("", "localhost")):
        if parts.scheme in ("s3", *PORTS) and parts.hostname:
            return None
        raise ConfigError(f"{_shown(uri)} is no place that data can come from; use {PLACES}")
    path = Path(unquote(parts.path) if "://" in uri else uri)
    if not path.exists():
        raise DataError(f"{path} does not exist; give {PLACES}")
    if checksum and not path.is_file():
        raise DataError(f"{path} {NO_FILE}")
    _check(path, checksum)
    return path


@contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Let one process at a time fetch a source: two would write to the same half-fetched file."""
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with (kept / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise DataError(f"can't keep data in {kept}: {error.strerror}; make it writable, with room enough") from None


def _check(path: Path, checksum: str | None, *, fetched: bool = False) -> None:
    """Hold a file against its checksum; one that was fetched for nothing is removed."""
    if checksum and (found := file_digest(path)) != checksum:
        if fetched:
            path.unlink()
        raise DataError(f"{path.name} has the SHA-256 {found}, data.checksum says {checksum}; one of them is wrong")


def _from_store(uri: str, kept: Path, checksum: str | None, max_bytes: int) -> Path:
    """Fetch an object, or every object below a prefix."""
    above, _, name = uri.rpartition("/")
    single = name if above.count("/") > 1 and name and open_store(above).exists(name) else ""
    store, files = open_store(above if single else uri.rstrip("/")), kept / "files"
    listed = {key: found for key, found in store.objects(single).items() if single in ("", key)}
    # An empty name, or one that ends with a slash, is what consoles make for a folder.
    objects = {key: found for key, found in listed.items() if key and not key.endswith("/")}
    if checksum and not single:
        raise DataError(f"{uri} {NO_FILE}")
    if not objects:
        raise DataError(f"{uri} holds nothing; check the bucket and the prefix")
    _allow(uri, sum(found.size for found in objects.values()), max_bytes)
    mirror(store, objects, files, _progress(f"objects below {uri}"))
    _check(files / single, checksum, fetched=True)
    return files / single


def _allow(what: str, size: int | None, max_bytes: int) -> None:
    if size is not None and size > max_bytes:
        raise DataError(f"{what} has {size} bytes, data.max_gb allows {max_bytes}; raise it")


def _progress(name: str) -> Callable[[int], None]:
    """Return what is to be told the size of all that comes, and says every few seconds how much that was."""
    got, told = 0, time.monotonic()

    def add(size: int) -> None:
        nonlocal got, told
        got += size
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            say(f"{name}: {readable(got)} more have come")

    return add


def _from_web(url: str, files: Path, checksum: str | None, max_bytes: int, members: Sequence[str]) -> Path:
    parts = _split(url)
    if "@" in parts.netloc:
        raise ConfigError(f"the URL of {parts.hostname} has a user or password, which logs would show; leave it out")
    if parts.scheme == "http" and not checksum:
        raise ConfigError(f"{_shown(url)} can be changed on its way by anyone; use https, or give data.checksum")
    if not parts.path.endswith("/"):
        name = re.sub(r"[^\w.+-]", "_", unquote(parts.path).rpartition("/")[2])[-100:]
        return _file(url, files / (name if name.strip(".") else "download"), checksum, max_bytes)
    if not members or checksum:
        raise ConfigError(f"{_shown(url)} is a folder, with no list and no checksum; name a file or an archive")
    left = max_bytes
    for name in members:
        member = parts._replace(path=parts.path + quote(name)).geturl()
        left -= _file(member, files / name, None, left).stat().st_size
    return files


def _file(url: str, target: Path, checksum: str | None, max_bytes: int) -> Path:
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
        raise DataError(f"{_shown(url)}: {fault}, and {len(PAUSES)} tries were made; run again to go on from there")
    _check(target, checksum, fetched=True)
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
            raise DataError(f"{_shown(url)}: the server answered {answer.status}; check the address")
        have = have if answer.status == PARTIAL else 0
        length = span.rpartition("/")[2] if have else answer.headers.get("content-length", "")
        whole = int(length) if length.isdecimal() else None
        _allow(_shown(url), whole, max_bytes)
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
    progress, got = _progress(Path(file.name).stem), have
    try:
        for block in answer.stream(BLOCK, decode_content=False):
            got += len(block)
            _allow("what the server sends", got, max_bytes)
            file.write(block)
            progress(len(block))
    except HTTPError:
        raise _AgainError(f"the connection broke after {got} bytes") from None
    return got


def _asked(url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    """Follow redirects to an answer whose body is still to come."""
    named = here = _split(url)
    for _ in range(MOST_REDIRECTS + 1):
        answer = _request(here, _addresses(here, named), headers)
        if answer.status not in REDIRECTS:
            return answer
        answer.close()
        before, here = here, _split(urljoin(here.geturl(), answer.headers.get("location", "")))
        if here.scheme not in ("https", before.scheme) or not here.hostname or "@" in here.netloc:
            raise DataError(f"{_shown(url)} leads to {_shown(here.geturl())}, which is less safe; give another address")
    raise DataError(f"{_shown(url)} leads through more than {MOST_REDIRECTS} redirects; give the final address")


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
