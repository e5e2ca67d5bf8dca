import os

import pytest

import modelpackage
from serving import fetch as module
from serving.fetch import main


@pytest.fixture
def name(bucket):
    """The name of the bucket."""
    return bucket.removeprefix("s3://")


@pytest.fixture
def client(bucket, minio_server):
    from minio import Minio  # a part of the environment that has a store

    return Minio(
        endpoint=minio_server["AWS_ENDPOINT_URL"].removeprefix("http://"),
        access_key=minio_server["AWS_ACCESS_KEY_ID"],
        secret_key=minio_server["AWS_SECRET_ACCESS_KEY"],
        secure=False,
    )


@pytest.fixture
def published(client, name, sealed):
    """The address of a package in the store."""
    prefix = f"tiny/sha256-{sealed.digest}"
    for path in sealed.path.iterdir():
        client.fput_object(bucket_name=name, object_name=f"{prefix}/{path.name}", file_path=str(path))
    return f"s3://{name}/{prefix}/"


def test_a_package_is_brought_whole_in_place_of_what_was_there(published, sealed, tmp_path):
    (tmp_path / "left").mkdir()
    (tmp_path / "model.onnx").write_bytes(b"half")
    assert main([published, str(tmp_path)], os.environ) == 0
    assert modelpackage.load(tmp_path).digest == sealed.digest
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in sealed.path.iterdir()}


def test_a_package_that_is_not_there_is_named(published, tmp_path, capsys):
    absent = published.replace("tiny", "absent")
    assert main([absent, str(tmp_path)], os.environ) == 1
    assert capsys.readouterr().err == f"{absent} holds no package; publish it, or correct storageUri\n"


def test_a_changed_file_is_named_with_both_digests(published, client, name, tmp_path, capsys):
    from io import BytesIO

    key = published.removeprefix(f"s3://{name}/") + "model.onnx"
    client.put_object(bucket_name=name, object_name=key, data=BytesIO(b"other"), length=5)
    assert main([published, str(tmp_path)], os.environ) == 1
    assert "model.onnx" in capsys.readouterr().err


def test_another_package_under_an_address_is_refused(published, client, name, sealed, tmp_path, capsys):
    prefix = f"tiny/sha256-{'0' * 64}"
    for path in sealed.path.iterdir():
        client.fput_object(bucket_name=name, object_name=f"{prefix}/{path.name}", file_path=str(path))
    assert main([f"s3://{name}/{prefix}/", str(tmp_path)], os.environ) == 1
    assert "0" * 64 in capsys.readouterr().err


def test_a_bucket_that_is_not_there_is_named_with_the_way_out(bucket, tmp_path, capsys):
    uri = f"s3://absent-bucket/tiny/sha256-{'0' * 64}/"
    assert main([uri, str(tmp_path)], os.environ) == 1
    why = "can't be read: NoSuchBucket; check bucket, path and the rights of the user"
    assert capsys.readouterr().err == f"{uri} {why}\n"


def test_a_store_that_does_not_answer_is_asked_again_and_then_named(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    monkeypatch.setattr(module, "PAUSE", 0.01)
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert main([f"s3://models/tiny/sha256-{'0' * 64}/", str(tmp_path)], away) == 1
    said = capfd.readouterr()
    assert said.err.startswith("the object store does not answer")
    assert '"event":"waiting"' in said.out


@pytest.mark.parametrize("uri", ["s3://models/tiny/latest/", "file:///models/sha256-0/", "s3://", "models"])
def test_only_content_addresses_are_taken(uri, tmp_path, capsys):
    assert main([uri, str(tmp_path)], {}) == 1
    assert capsys.readouterr().err == f"{uri!r} is no address of a package; use s3://bucket/NAME/sha256-DIGEST/\n"


def test_without_a_server_the_way_out_is_said(tmp_path, capsys):
    assert main([f"s3://models/tiny/sha256-{'0' * 64}/", str(tmp_path)], {}) == 1
    assert "list a Secret" in capsys.readouterr().err


def test_wrong_arguments_are_answered_with_the_usage(capsys):
    assert main([], {}) == 1
    assert capsys.readouterr().err.startswith("usage: python -m serving.fetch")
