import socket
import threading

import pytest

from serving import s3
from serving.errors import SettingsError
from serving.monitoring.sink import SinkError, open_sink
from serving.s3 import S3

#: Not made at random: it is in the name of a test, which every worker must call the same.
SECRET = "f00d" * 8


def at(endpoint: str) -> S3:
    return S3(endpoint=endpoint, access_key="someone", secret_key=SECRET)


def test_a_folder_takes_objects_and_is_made_for_the_first(tmp_path):
    folder = tmp_path / "with space" / "deep"
    sink = open_sink((tmp_path / "with space").as_uri() + "/deep")
    sink.put("a/b.gz", b"1")
    sink.put("a/b.gz", b"2")
    assert [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in folder.rglob("*.*")] == [
        ("a/b.gz", b"2")
    ]


def test_a_folder_that_can_not_be_made_is_an_error_with_its_name(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SinkError, match=r"can't write .*/file/a/b.gz: .*; check the folder"):
        open_sink(f"file://{tmp_path}/file").put("a/b.gz", b"1")


@pytest.mark.parametrize(
    "uri", ["", "/srv", "file://host/x", "file:x", "s3://", "gs://bucket", "s3://[x", "https://u:p@h/x"]
)
def test_a_uri_that_names_no_place_is_refused(uri):
    with pytest.raises(SettingsError, match=r"is no place for predictions; use file:"):
        open_sink(uri, at("http://127.0.0.1:9"))


def test_a_bucket_without_a_server_is_refused():
    with pytest.raises(SettingsError, match="s3://bucket needs an S3 server; set AWS_ENDPOINT_URL"):
        open_sink("s3://bucket")


@pytest.mark.parametrize(
    "endpoint",
    ["", "127.0.0.1:9000", "http://", "http://host/path?x=1", "http://host:port", f"http://u:{SECRET}@h", "http://["],
)
def test_an_endpoint_that_is_none_is_refused_without_its_secrets(endpoint):
    with pytest.raises(SettingsError, match=r"^AWS_ENDPOINT_URL names no S3 server") as refused:
        open_sink("s3://bucket", at(endpoint))
    assert SECRET not in str(refused.value)


def test_credentials_are_not_shown():
    assert SECRET not in repr(at("http://127.0.0.1:9"))


def test_a_bucket_takes_objects_below_its_prefix(bucket, minio_server):
    server = S3(
        endpoint=minio_server["AWS_ENDPOINT_URL"],
        access_key=minio_server["AWS_ACCESS_KEY_ID"],
        secret_key=minio_server["AWS_SECRET_ACCESS_KEY"],
    )
    for uri, key in ((bucket, "a/1.gz"), (f"{bucket}/deep/er/", "deep/er/a/1.gz")):
        sink = open_sink(uri, server)
        sink.put("a/1.gz", b"content")
        with sink._client.get_object(bucket_name=bucket.removeprefix("s3://"), object_name=key) as answer:
            assert answer.read() == b"content"


def test_what_the_server_refuses_is_told_without_secrets(bucket, minio_server):
    wrong = at(minio_server["AWS_ENDPOINT_URL"])
    with pytest.raises(SinkError, match=r"s3://test-\w+ on 127.0.0.1:\d+: InvalidAccessKeyId: ") as refused:
        open_sink(bucket, wrong).put("a", b"1")
    assert SECRET not in str(refused.value)


def test_a_dead_endpoint_is_an_error_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SinkError, match=rf"can't reach s3://bucket/prefix on 127.0.0.1:{port}: \w+; check") as refused:
        open_sink("s3://bucket/prefix", at(f"http://127.0.0.1:{port}")).put("a", b"1")
    assert SECRET not in str(refused.value)


def test_a_server_that_never_answers_is_an_error(monkeypatch):
    monkeypatch.setattr(s3, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = open_sink("s3://bucket", at(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(SinkError, match="can't reach s3://bucket"):
            sink.put("a", b"1")


def test_what_is_no_s3_server_is_an_error():
    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        with pytest.raises(SinkError):
            open_sink("s3://bucket", at(f"http://127.0.0.1:{listener.getsockname()[1]}")).put("a", b"1")
        thread.join()
