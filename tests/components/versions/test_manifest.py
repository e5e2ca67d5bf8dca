"""A manifest says one thing in one way, and leads nowhere else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.errors import StoreError
from components.store import Store, open_store
from components.versions.manifest import (
    Entry,
    Manifest,
    Push,
    check_name,
    known,
    manifest_key,
    push_key,
    read_manifest,
    resolve,
    write,
)

A, B, C = "a" * 64, "ab" * 32, "abcdef" + "0" * 58


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


def manifest(*paths: str, name: str = "pets", digest: str = A) -> Manifest:
    files = tuple(Entry(path=path, sha256=A, size=3) for path in paths or ("cat/1.jpg",))
    return Manifest(
        name=name, digest=digest, files=files, format="pictures", kind="image", rows=2, labels={"cat": 1, "dog": 1}
    )


def put(store: Store, key: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(content)
    store.put(key, tmp_path / "content")


@pytest.mark.parametrize("path", ["../a", "/a", "a/../../b", "a//b", "./a", "a/.", "", "a/", "a/..", "a\0b"], ids=repr)
def test_a_path_that_leaves_the_folder_or_is_none_is_refused(path):
    with pytest.raises(ValidationError):
        Entry(path=path, sha256=A, size=1)


@pytest.mark.parametrize("path", ["a", "ä/ß 1.jpg", "..a/b..", "a\\b", "猫/…", "-"])
def test_a_path_of_any_name_is_taken(path):
    assert manifest(path).files[0].path == path


@pytest.mark.parametrize("paths", [("a", "a"), ("b", "a"), ("a", "a/b"), ("a/b", "a/b/c/d")])
def test_files_ascend_each_once_and_none_is_a_folder_too(paths):
    with pytest.raises(ValidationError, match="ascend|a file and a folder"):
        manifest(*paths)


def test_a_manifest_in_the_store_that_no_push_wrote_is_named_with_the_rule(store, tmp_path):
    good = manifest().model_dump_json().encode()
    for content, told in (
        (b"{}", "format: Field required"),
        (b"\xff", "JSON"),
        (good.replace(b"cat/1.jpg", b"../../etc/passwd"), "leaves the folder"),
        (good.replace(b'"rows":2', b'"rows":-2'), "rows"),
        (good.replace(b'"name":"pets"', b'"name":"other"'), "is the manifest of other@"),
    ):
        put(store, manifest_key("pets", A), content, tmp_path)
        with pytest.raises(StoreError, match=f"versions/{A}.json in file:.*{told}.*push again"):
            read_manifest(store, "pets", A)


def test_a_manifest_is_written_once(store):
    assert write(store, manifest_key("pets", A), manifest())
    assert not write(store, manifest_key("pets", A), manifest("dog/1.jpg"))
    assert read_manifest(store, "pets", A) == manifest()


@pytest.mark.parametrize("name", ["", "Pets", "my_pets", "-pets", "pets-", "a" * 64, "a/b", "..", "pets\n"])
def test_a_name_that_is_no_dns_label_is_refused(name):
    with pytest.raises(StoreError, match="can't name a data set; use lower-case letters"):
        check_name(name)


@pytest.fixture
def three(store: Store) -> Store:
    for number, digest in enumerate((C, A, B)):
        write(store, manifest_key("pets", digest), manifest(digest=digest))
        write(store, push_key("pets", digest), Push(pushed=datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number)))
    return store


def test_without_a_digest_the_newest_is_meant(three):
    assert resolve(three, "pets").digest == B


@pytest.mark.parametrize(("ref", "digest"), [("pets@aaaaaa", A), (f"pets@{B}", B), ("data://pets@abcdef0", C)])
def test_a_prefix_that_fits_one_version_names_it(three, ref, digest):
    assert resolve(three, ref).digest == digest


@pytest.mark.parametrize("ref", ["pets@", "pets@abcde", "pets@ABCDEF", f"pets@{A}0", "pets@../../x"])
def test_what_can_be_no_digest_is_refused_with_what_can(three, ref):
    with pytest.raises(StoreError, match="6 to 64 of the digits 0-9 and a-f"):
        resolve(three, ref)


def test_what_is_not_there_is_answered_with_what_is(three):
    with pytest.raises(StoreError, match=f"has no pets@000000; choose one of pets@{A}, pets@{B}, pets@{C}"):
        resolve(three, "pets@000000")
    with pytest.raises(StoreError, match="has no data set 'cars'; it has pets"):
        resolve(three, "cars")


def test_a_prefix_that_fits_two_versions_is_answered_with_both(three):
    other = "abcdef" + "1" * 58
    write(three, manifest_key("pets", other), manifest(digest=other))
    with pytest.raises(
        StoreError, match=f"2 versions of pets begin with abcdef; choose one of pets@{C}, pets@{other}$"
    ):
        resolve(three, "pets@abcdef")


def test_strangers_below_datasets_are_no_versions(three, tmp_path):
    for key in (
        "datasets/pets/versions/notes.txt",
        "datasets/pets/versions/deeper/x.json",
        f"datasets/Pets/versions/{A}.json",
    ):
        put(three, key, b"", tmp_path)
    assert known(three) == [("pets", A), ("pets", B), ("pets", C)]
