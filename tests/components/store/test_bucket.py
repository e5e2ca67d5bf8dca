"""Faults of servers and networks: cured, or one clear error in bounded time."""

import io
import re
import time
from pathlib import Path

import pytest
import urllib3

from components.errors import StoreError
from components.store import bucket, open_store, part

FAULTS = ["refused", "reset", "500", "503", "lost", "slow", "cut"]


@pytest.fixture
def large(tmp_path: Path, content) -> Path:
    path = tmp_path / "large"
    path.write_bytes(content(1))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_bytes(b"content" * 100)
    return path


def listed(store, middleman) -> set[tuple[str, int]]:
    middleman.spoil = lambda *_: None
    return {(key, found.size) for key, found in store.objects("").items()}


@pytest.mark.parametrize("every", [2, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_nth_request_may_fail(store, middleman, small: Path, large: Path, tmp_path: Path, fault, every):
    middleman.spoil = lambda number, *_: fault if number % every == 0 else None
    for path in (small, large):
        store.put(path.name, path)
        store.get(path.name, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == path.read_bytes()
        store.create(f"created {path.name}", path)
        assert not store.create(f"created {path.name}", path)
        store.get(f"created {path.name}", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == path.read_bytes()
    assert store.keys("created") == ["created large", "created small"]
    store.remove("created large")
    assert not store.exists("created large")
    assert listed(store, middleman) == {
        ("created small", small.stat().st_size),
        ("small", small.stat().st_size),
        ("large", large.stat().st_size),
    }


@pytest.mark.parametrize("fault", ["refused", "reset", "500", "503"])
def test_a_fault_that_stays_ends_in_one_line_and_writes_nothing(store, middleman, small: Path, large: Path, fault):
    actions = [
        *(lambda path=path: store.put("a", path) for path in (small, large)),
        *(lambda path=path: store.create("a", path) for path in (small, large)),
        lambda: store.get("a", small.with_name("back")),
        lambda: store.objects(""),
        lambda: store.exists("a"),
        lambda: store.remove("a"),
    ]
    middleman.spoil = lambda *_: fault
    for action in actions:
        start = time.monotonic()
        with pytest.raises(StoreError, match=r"check AWS_ENDPOINT_URL|see the server's log") as caught:
            action()
        assert "\n" not in str(caught.value)
        assert "Signature" not in str(caught.value)
        assert time.monotonic() - start < 5
    assert listed(store, middleman) == set()


class Once:
    """Spoils the first request that a pattern fits."""

    def __init__(self, fault: str, pattern: str) -> None:
        self.fault, self.pattern = fault, re.compile(pattern)
        self.times = 0

    def __call__(self, _: int, method: str, path: str) -> str | None:
        if self.times or not self.pattern.match(f"{method} {path}"):
            return None
        self.times += 1
        return self.fault


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("way", ["put", "create"])
def test_a_bit_that_flips_on_its_way_is_refused_and_sent_again(store, middleman, request, tmp_path, size, way):
    path = request.getfixturevalue(size)
    middleman.spoil = Once("flip sent", "PUT ")
    getattr(store, way)("a", path)
    assert middleman.spoil.times == 1
    written = [path for method, path in middleman.seen if method == "PUT"]
    assert len(written) == (2 if size == "small" else 4)
    store.get("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("way", ["put", "create"])
def test_content_that_is_always_damaged_is_never_stored(store, middleman, request, size, way):
    path = request.getfixturevalue(size)
    middleman.spoil = lambda _, method, __: "flip sent" if method == "PUT" else None
    with pytest.raises(StoreError, match="BadDigest.*it changed while it was sent, or the network damages"):
        getattr(store, way)("a", path)
    assert listed(store, middleman) == set()


def test_a_server_that_says_nothing_is_given_up(store, middleman, small: Path, monkeypatch):
    monkeypatch.setattr(bucket, "READ_SECONDS", 0.2)
    middleman.spoil = lambda *_: "silent"
    start = time.monotonic()
    with pytest.raises(StoreError, match="can't reach"):
        store.put("a", small)
    assert 1 < time.monotonic() - start < 5


def test_an_answer_that_drips_is_given_up(store, middleman, small: Path, tmp_path: Path, monkeypatch):
    store.put("a", small)
    monkeypatch.setattr(part, "GRACE_SECONDS", 0.1)
    middleman.spoil = lambda *_: "drip"
    start = time.monotonic()
    with pytest.raises(StoreError, match="can't reach"):
        store.get("a", tmp_path / "back")
    assert time.monotonic() - start < 5


def test_what_a_server_said_first_is_taken_back_where_it_ends_in_an_error(store):
    answer = urllib3.HTTPResponse(
        io.BytesIO(b"<Error><Code>InternalError</Code><Message>We failed</Message></Error>"), preload_content=False
    )
    with pytest.raises(bucket.RefusedError, match="InternalError: We failed") as caught:
        store._bucket.whole(answer)
    assert caught.value.passing


def test_no_signature_is_logged(store, middleman, small: Path, caplog):
    middleman.spoil = lambda number, *_: "reset" if number % 2 else None
    store.put("a", small)
    assert "Signature" not in caplog.text


def test_a_bucket_that_does_not_exist_is_named(server, small: Path, large: Path, small_parts):
    store = open_store(f"{server[0]}-missing")
    for path in (small, large):
        for action in (store.put, store.create):
            with pytest.raises(StoreError, match="NoSuchBucket: .*; create bucket"):
                action("a", path)
    with pytest.raises(StoreError, match="create bucket"):
        store.keys("")


def test_wrong_credentials_are_named_by_their_variables(server, small: Path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    for action in (open_store(server[0]).put, open_store(server[0]).create, open_store(server[0]).get):
        with pytest.raises(StoreError, match="check AWS_SECRET_ACCESS_KEY|give this key the right"):
            action("a", small)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(StoreError, match="check AWS_ACCESS_KEY_ID"):
        open_store(server[0]).put("a", small)


def test_a_server_that_is_down_is_named(small: Path, monkeypatch):
    monkeypatch.setattr(bucket, "PAUSES", (0.01,))
    for name, value in (
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "k"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ):
        monkeypatch.setenv(name, value)
    store = open_store("s3://models")
    for action in (lambda: store.put("a", small), lambda: store.create("a", small), lambda: store.exists("a")):
        with pytest.raises(StoreError, match="can't reach http://127.0.0.1:9"):
            action()
