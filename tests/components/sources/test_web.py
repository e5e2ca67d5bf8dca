"""A file comes from the web whole, checked and within its limit; servers are real, on loopback, and misbehave."""

import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_site import CONTENT, Handler, Site, serving

from components.errors import ConfigError, DataError
from components.sources.remote import bring
from components.sources.web import _public

MEGABYTE = 10**6 + len(CONTENT)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as made:
        yield made


@pytest.fixture(autouse=True)
def _at_once(monkeypatch) -> None:
    monkeypatch.setattr("components.sources.web.PAUSES", (0.0,) * 5)


def fetch(site: Site, folder: Path, content: bytes = CONTENT, **options: int) -> Path:
    """Bring the file over plain http, which needs its checksum."""
    return bring(site.url(), folder, checksum=sha256(content), **{"max_bytes": MEGABYTE, **options})


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


# What a server has.


def test_a_file_comes_whole_and_once(site, tmp_path):
    place = fetch(site, tmp_path)
    assert place.name == "data.csv"
    assert place.read_bytes() == CONTENT
    assert fetch(site, tmp_path) == place
    assert site.asked == [("/data.csv", None)]
    assert left(tmp_path) == {"data.csv"}


def test_plain_http_needs_a_checksum(site, tmp_path):
    with pytest.raises(ConfigError, match="can be changed on its way by anyone; use https, or give data.checksum"):
        bring(site.url(), tmp_path, max_bytes=MEGABYTE)
    assert site.asked == []


def test_a_wrong_checksum_removes_the_download_and_names_both(site, tmp_path):
    with pytest.raises(DataError, match=f"{sha256(CONTENT)}, data.checksum says {sha256(b'other')}"):
        fetch(site, tmp_path, b"other")
    assert left(tmp_path) == set()
    site.files["/data.csv"] = b"other"
    assert fetch(site, tmp_path, b"other").read_bytes() == b"other"


def test_a_download_that_has_another_checksum_by_now_is_fetched_again(site, tmp_path):
    fetch(site, tmp_path).write_bytes(b"damaged")
    assert fetch(site, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("cuts", [[1000], [0, 300_000, 0], [500_000, 500_000]])
def test_a_cut_connection_is_taken_up_where_it_was(site, tmp_path, cuts):
    site.cuts = list(cuts)
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert len(site.asked) == len(cuts) + 1
    assert site.asked[-1][1] == f"bytes={sum(cuts)}-"


def test_a_later_call_goes_on_where_an_earlier_one_ended(site, tmp_path):
    site.cuts = [1000, 1000, 1000, 1000, 1000]
    with pytest.raises(DataError, match="5 tries were made; run again to go on"):
        fetch(site, tmp_path)
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.asked[-1][1] == "bytes=5000-"


@pytest.mark.parametrize("habit", ["no ranges", "no etag", "weak etag"])
def test_where_it_can_not_be_taken_up_it_starts_over(site, tmp_path, habit):
    site.cuts, site.ranges = [1000], habit != "no ranges"
    site.etag = {"no etag": None, "weak etag": 'W/"one"'}.get(habit, site.etag)
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert (site.asked[1][1] is None) == (habit != "no ranges")


@pytest.mark.parametrize("conditions", [True, False])
@pytest.mark.parametrize("size", [len(CONTENT), 500])
def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(site, tmp_path, conditions, size):
    site.cuts = [1000] * 5
    with pytest.raises(DataError):
        fetch(site, tmp_path)
    changed = b"z" * size
    site.etag, site.files["/data.csv"], site.conditions = '"two"', changed, conditions
    assert fetch(site, tmp_path, changed).read_bytes() == changed


def test_a_server_that_gives_another_range_is_not_believed(site, tmp_path, monkeypatch):
    site.cuts = [1000]
    body = Handler._body

    def shifted(self, status, headers, content):
        if status == 206:
            headers["content-range"] = f"bytes 0-{len(content) - 1}/{len(content)}"
        body(self, status, headers, content)

    monkeypatch.setattr(Handler, "_body", shifted)
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert [span for _, span in site.asked] == [None, "bytes=1000-", None]


@pytest.mark.parametrize("faults", [[503], [429, 500, 502, 504]])
def test_faults_that_pass_are_sat_out(site, tmp_path, faults):
    site.faults = list(faults)
    assert fetch(site, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [404, 403, 204, 206, 304, 416])
def test_a_refusal_is_told_at_once_with_the_url(site, tmp_path, status):
    site.faults = [status]
    with pytest.raises(DataError, match=rf"{site.url()}: the server answered {status}; check the address"):
        fetch(site, tmp_path)
    assert len(site.asked) == 1


def test_a_server_that_is_down_is_named(tmp_path):
    with pytest.raises(DataError, match="can't reach 127.0.0.1 .NewConnectionError., and 5 tries"):
        bring("http://127.0.0.1:9/a", tmp_path, checksum=sha256(b""), max_bytes=1)


def test_a_host_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no host nowhere.invalid"):
        bring("https://nowhere.invalid/a", tmp_path, max_bytes=1)


def test_a_file_larger_than_allowed_is_refused_before_it_comes(site, tmp_path):
    with pytest.raises(DataError, match=f"has {len(CONTENT)} bytes, data.max_gb allows 1000; raise it"):
        fetch(site, tmp_path, max_bytes=1000)
    assert left(tmp_path) == set()


def test_a_file_of_unknown_size_is_refused_when_it_becomes_too_large(site, tmp_path):
    site.endless = True
    with pytest.raises(DataError, match="data.max_gb allows 500000; raise it"):
        fetch(site, tmp_path, max_bytes=500_000)
    assert "data.csv" not in left(tmp_path)
    assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_a_length_that_is_too_large_is_no_file(site, tmp_path):
    site.length = len(CONTENT) + 1
    with pytest.raises(DataError, match=f"after {len(CONTENT)} bytes|starts over"):
        fetch(site, tmp_path)
    assert "data.csv" not in left(tmp_path)


def test_a_length_that_is_too_small_is_seen_by_the_checksum(site, tmp_path):
    site.length = 10
    with pytest.raises(DataError, match="data.checksum says"):
        fetch(site, tmp_path)
    assert left(tmp_path) == set()


def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path):
    with pytest.raises(ConfigError, match="the URL of host.org has a user or password") as error:
        bring("https://me:secret@host.org/data.csv", tmp_path, max_bytes=1)
    assert "secret" not in str(error.value)


def test_a_signature_in_a_query_is_sent_but_not_told(site, tmp_path, capsys):
    site.files["/data.csv?signature=secret"] = CONTENT
    url = site.url("/data.csv?signature=secret")
    assert bring(url, tmp_path, checksum=sha256(CONTENT), max_bytes=MEGABYTE).name == "data.csv"
    site.faults = [404]
    with pytest.raises(DataError) as error:
        bring(url, tmp_path / "again", checksum=sha256(CONTENT), max_bytes=MEGABYTE)
    assert "secret" not in str(error.value) + capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "name"), [("/a/%2e%2e", "download"), ("/a/%2Fetc%2Fpasswd", "passwd"), ("", "download")]
)
def test_a_file_stays_in_its_folder_whatever_its_url(site, tmp_path, path, name):
    site.files = dict.fromkeys(("/", "/a/%2E%2E", path), b"x")  # as the client writes it
    place = bring(site.url(path), tmp_path, checksum=sha256(b"x"), max_bytes=1)
    assert place.name == name
    assert place.resolve().is_relative_to(tmp_path.resolve())


def test_progress_is_told_in_lines_and_not_too_often(site, tmp_path, capsys, monkeypatch):
    fetch(site, tmp_path)
    assert capsys.readouterr().out == "[slipway] downloading data.csv\n"
    monkeypatch.setattr("components.sources.limits.TELL_SECONDS", 0.0)
    fetch(site, tmp_path / "again")
    assert "data.csv: 1.0 MB more have come" in capsys.readouterr().out


def test_two_who_fetch_the_same_at_once_fetch_it_once(site, tmp_path):
    places: list[Path] = []
    threads = [threading.Thread(target=lambda: places.append(fetch(site, tmp_path))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(places) == 6
    assert len(site.asked) == 1


def test_a_cache_that_can_not_be_written_is_named(site, tmp_path):
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(DataError, match="can't keep data in .*kept"):
        fetch(site, tmp_path / "kept")


# Where redirects may lead.


class Names:
    """What the resolver answers, and how often it was asked."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self._real = socket.getaddrinfo

    def __call__(self, host, port, *args, **options):
        if host not in self.known:
            return self._real(host, port, *args, **options)
        self.asked.append(host)
        return [found for ip in self.known[host] for found in self._real(ip, port, *args, **options)]


@pytest.fixture
def names(monkeypatch) -> Names:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    return made


def test_a_redirect_on_the_named_host_is_followed(site, tmp_path):
    site.redirects = {"/data.csv": "/b", "/b": site.url("/c"), "/c": "d/e"}
    site.files["/d/e"] = CONTENT
    assert fetch(site, tmp_path).name == "data.csv"


@pytest.mark.parametrize("hops", [5, 6])
def test_five_redirects_are_followed_and_no_more(site, tmp_path, hops):
    site.redirects = {f"/{hop}": f"/{hop + 1}" for hop in range(1, hops)} | {"/data.csv": "/1"}
    site.files[f"/{hops}"] = CONTENT
    if hops == 5:
        assert fetch(site, tmp_path).read_bytes() == CONTENT
    else:
        with pytest.raises(DataError, match="more than 5 redirects"):
            fetch(site, tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"])
def test_a_redirect_to_loopback_is_refused_however_it_is_written(site, tmp_path, host):
    with serving() as inner:
        site.redirects = {"/data.csv": inner.url(host=host)}
        with pytest.raises(DataError, match="which is not public; name it itself"):
            fetch(site, tmp_path)
        assert inner.asked == []


@pytest.mark.parametrize(
    "ips",
    [
        ["127.0.0.1"],
        ["93.184.215.14", "127.0.0.1"],
        ["10.1.2.3"],
        ["192.168.1.1"],
        ["172.16.0.1"],
        ["100.64.0.1"],
        ["169.254.169.254"],
        ["224.0.0.1"],
        ["0.0.0.1"],
        ["::1"],
        ["fd00::1"],
        ["fe80::1"],
        ["::ffff:10.0.0.1"],
    ],
)
def test_a_redirect_to_a_name_of_a_private_address_is_refused(site, names, tmp_path, ips):
    names.known["evil.example"] = ips
    site.redirects = {"/data.csv": f"http://evil.example:{site.server_port}/data.csv"}
    with pytest.raises(DataError, match="leads to evil.example:.* which is not public"):
        fetch(site, tmp_path)


@pytest.mark.parametrize(
    "ip",
    ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"],
)
def test_public_addresses_are_public(ip):
    assert _public(ip)


@pytest.mark.parametrize(
    "ip",
    [
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fe80::1%eth0",
        "ff02::1",
        "fec0::1",
        "255.255.255.255",
        "192.0.0.192",
        "240.0.0.1",
        "::",
    ],
)
def test_addresses_that_hide_a_private_one_are_not_public(ip):
    assert not _public(ip)


def test_a_name_is_looked_up_once_so_that_it_can_not_change_its_mind(site, names, tmp_path):
    names.known["data.example"] = ["127.0.0.1"]
    url = site.url(host="data.example")
    assert bring(url, tmp_path, checksum=sha256(CONTENT), max_bytes=MEGABYTE).read_bytes() == CONTENT
    assert names.asked == ["data.example"]


def test_of_several_addresses_one_that_answers_is_enough(site, names, tmp_path):
    names.known["data.example"] = ["127.0.0.2", "127.0.0.1"]
    url = site.url(host="data.example")
    assert bring(url, tmp_path, checksum=sha256(CONTENT), max_bytes=MEGABYTE).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "target", ["ftp://127.0.0.1/a", "file:///etc/passwd", "https://", "http://me:secret@127.0.0.1/data.csv"]
)
def test_a_redirect_to_what_is_no_web_address_is_refused(site, tmp_path, target):
    site.redirects = {"/data.csv": target}
    with pytest.raises(DataError, match="less safe"):
        fetch(site, tmp_path)


def test_a_redirect_to_what_is_no_url_is_refused(site, tmp_path):
    site.redirects = {"/data.csv": "http://host:port/"}
    with pytest.raises(ConfigError, match="is no URL"):
        fetch(site, tmp_path)


# Over TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A certificate for localhost, and its key, in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + made.public_bytes(encoding))
    return path


@pytest.fixture
def secure(certificate: Path, monkeypatch) -> Iterator[Site]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with serving(tls) as made:
        yield made


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_https_needs_no_checksum(secure, tmp_path, host):
    assert bring(secure.url(host=host), tmp_path, max_bytes=MEGABYTE).read_bytes() == CONTENT


def test_a_certificate_that_is_not_trusted_is_named(secure, tmp_path, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DataError, match="localhost has no certificate that this machine trusts"):
        bring(secure.url(host="localhost"), tmp_path, max_bytes=MEGABYTE)
    assert secure.asked == []


def test_a_certificate_of_another_host_is_refused(secure, names, tmp_path):
    names.known["other.example"] = ["127.0.0.1"]
    with pytest.raises(DataError, match="other.example has no certificate that this machine trusts"):
        bring(secure.url(host="other.example"), tmp_path, max_bytes=MEGABYTE)
    assert secure.asked == []


def test_https_never_leads_to_http(secure, site, tmp_path):
    secure.redirects = {"/data.csv": site.url()}
    with pytest.raises(DataError, match="less safe"):
        bring(secure.url(), tmp_path, max_bytes=MEGABYTE)
    assert site.asked == []


def test_the_files_below_a_folder_are_fetched_by_name_and_held_to_one_limit(secure, tmp_path):
    secure.files = {"/mnist/a.gz": b"a" * 600, "/mnist/b.gz": b"b" * 600}
    url, members = secure.url("/mnist/"), ("a.gz", "b.gz")
    place = bring(url, tmp_path, max_bytes=1200, members=members)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {"a.gz": b"a" * 600, "b.gz": b"b" * 600}
    with pytest.raises(DataError, match="b.gz has 600 bytes, data.max_gb allows 599"):
        bring(url, tmp_path / "again", max_bytes=1199, members=members)


def test_a_file_below_a_folder_that_is_missing_is_named_and_nothing_else_is_tried(secure, tmp_path):
    with pytest.raises(DataError, match=r"/mnist/a.gz: the server answered 404"):
        bring(secure.url("/mnist/"), tmp_path, max_bytes=1, members=("a.gz", "b.gz"))
    assert [path for path, _ in secure.asked] == ["/mnist/a.gz"]


def test_a_folder_that_can_not_be_listed_needs_names(secure, tmp_path):
    with pytest.raises(ConfigError, match="is a folder, with no list"):
        bring(secure.url("/mnist/"), tmp_path, max_bytes=1)


def test_an_archive_is_fetched_checked_and_unpacked(secure, tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        archive.writestr("pets/cat/1.png", b"x")
    secure.files["/pets.zip"] = (tmp_path / "pets.zip").read_bytes()
    digest = sha256(secure.files["/pets.zip"])
    place = bring(secure.url("/pets.zip"), tmp_path, checksum=digest, max_bytes=MEGABYTE)
    assert (place / "cat" / "1.png").read_bytes() == b"x"
