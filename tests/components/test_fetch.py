"""A package is fetched whole from wherever it is, or refused."""

import shutil

import pytest
import tiny

from components.errors import StoreError
from components.fetch import fetch
from components.publish import add_signatures, upload
from components.store import open_store
from modelpackage import PackageChangedError, PackageMissingError, UnsignedError, UntrustedError, new_keys


def test_a_path_and_a_file_uri_are_the_package_itself(sealed, tmp_path):
    for place in (str(sealed.path), sealed.path.as_uri()):
        assert fetch(place, tmp_path).path == sealed.path


def test_a_file_uri_with_a_host_is_refused(tmp_path):
    with pytest.raises(StoreError, match="has three slashes"):
        fetch("file://store/digits", tmp_path)


@pytest.mark.parametrize("digest", ["0" * 64, "0000"])
def test_a_folder_named_by_another_digest_is_refused(sealed, tmp_path, digest):
    place = tmp_path / f"sha256-{digest}"
    shutil.copytree(sealed.path, place)
    with pytest.raises(PackageChangedError, match="model.json"):
        fetch(str(place), tmp_path)


def test_a_package_from_the_object_store_is_downloaded_and_verified(sealed, tmp_path, bucket):
    uri = upload(open_store(bucket), sealed)
    fetched = fetch(uri, tmp_path / "packages")
    assert fetched.digest == sealed.digest
    assert fetched.path.parent == tmp_path / "packages"
    assert fetch(uri, tmp_path / "packages").path == fetched.path


def test_a_damaged_copy_of_an_earlier_fetch_is_fetched_again(sealed, tmp_path, bucket):
    uri = upload(open_store(bucket), sealed)
    copy = fetch(uri, tmp_path).path
    (copy / "card.md").write_text("another card")
    assert fetch(uri, tmp_path).read("card.md") == sealed.read("card.md")


def test_neighbours_in_the_store_do_not_get_in(sealed, tmp_path, bucket):
    store = open_store(bucket)
    uri = upload(store, sealed)
    store.put(f"tiny/sha256-{sealed.digest}-old/model.onnx", sealed.path / "model.onnx")
    store.put(f"tiny/sha256-{sealed.digest}/deeper/model.onnx", sealed.path / "model.onnx")
    assert fetch(uri, tmp_path).digest == sealed.digest


def test_a_changed_object_is_refused_and_named(sealed, tmp_path, bucket):
    store = open_store(bucket)
    uri = upload(store, sealed)
    store.put(f"tiny/sha256-{sealed.digest}/model.onnx", sealed.path / "card.md")
    with pytest.raises(PackageChangedError, match="model.onnx"):
        fetch(uri, tmp_path)


def test_a_place_without_a_package_is_named_and_leaves_nothing(tmp_path, bucket):
    with pytest.raises(PackageMissingError, match="nothing below it"):
        fetch(f"{bucket}/digits/sha256-{'0' * 64}/", tmp_path / "packages")
    assert not list(tmp_path.rglob("*.partial"))


def test_a_half_published_package_is_no_package(sealed, tmp_path, bucket):
    store = open_store(bucket)
    uri = upload(store, sealed)
    half = open_store(f"{bucket}/half/sha256-{sealed.digest}")
    for name in ("model.onnx", "golden.npz"):
        half.put(name, sealed.path / name)
    with pytest.raises(PackageMissingError, match="no finished model package"):
        fetch(f"{bucket}/half/sha256-{sealed.digest}/", tmp_path)
    assert fetch(uri, tmp_path / "whole").descriptor.name == tiny.seal(tmp_path / "again").descriptor.name


def test_a_signature_travels_with_the_package(sealed, tmp_path, bucket):
    key, other = new_keys(tmp_path / "key"), new_keys(tmp_path / "other")
    uri = upload(open_store(bucket), sealed, key)
    fetched = fetch(uri, tmp_path / "packages", [other.public, key.public])
    assert fetched.signed_by == (key.public.id,)
    with pytest.raises(UntrustedError, match=f"by no trusted key .{other.public.id}"):
        fetch(uri, tmp_path / "packages", [other.public])


def test_a_path_and_a_file_uri_must_be_signed_where_it_is_required(sealed, tmp_path):
    key = new_keys(tmp_path / "key")
    for place in (str(sealed.path), sealed.path.as_uri()):
        with pytest.raises(UnsignedError):
            fetch(place, tmp_path, [key.public])


def test_a_copy_from_before_the_package_was_signed_is_fetched_again(sealed, tmp_path, bucket):
    store, key = open_store(bucket), new_keys(tmp_path / "key")
    uri = upload(store, sealed)
    fetch(uri, tmp_path)
    with pytest.raises(UnsignedError):
        fetch(uri, tmp_path, [key.public])
    add_signatures(store, f"tiny/sha256-{sealed.digest}/", sealed.sign(key))
    assert fetch(uri, tmp_path, [key.public]).signed_by == (key.public.id,)
