"""An archive is unpacked whole, inside its folder and within its limit, or refused by what is wrong with it."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.sources.archive import BLOCK, _write, inside, is_archive, opened, places, unpack

FILES = {"data/cat/1.png": b"one", "data/dog/2.png": b"two" * 1000, "data/empty": b""}
KINDS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MEGABYTE = 10**6


def tar(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    mode = {".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w:")
    with tarfile.open(path, mode) as archive:
        for member in members:
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
            else:
                archive.addfile(member)
    return path


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def make(path: Path, *members: tuple[str, bytes]) -> Path:
    return zipped(path, *members) if path.suffix == ".zip" else tar(path, *members)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_archive_gives_its_files(tmp_path, kind):
    archive = make(tmp_path / f"data{kind}", *FILES.items())
    assert is_archive(archive)
    unpack(archive, tmp_path / "out", MEGABYTE)
    assert content(tmp_path / "out") == FILES
    assert {path.name for path in tmp_path.iterdir()} == {archive.name, "out"}


def test_a_compression_is_told_by_its_content_and_not_by_the_name(tmp_path):
    archive = tar(tmp_path / "data.tar.xz", *FILES.items()).rename(tmp_path / "data.tar.gz")
    unpack(archive, tmp_path / "out", MEGABYTE)
    assert content(tmp_path / "out") == FILES


def test_what_has_another_suffix_is_no_archive(tmp_path):
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "images.gz").touch()
    assert not is_archive(tmp_path / "folder.zip")
    assert not is_archive(tmp_path / "images.gz")


@pytest.mark.parametrize("kind", [".zip", ".tar.gz"])
def test_a_single_folder_or_file_is_entered_and_droppings_do_not_count(tmp_path, kind):
    droppings = [("__MACOSX/data/._1.png", b"x"), (".DS_Store", b"x"), ("data/.DS_Store", b"x"), ("._data", b"x")]
    assert opened(make(tmp_path / f"a{kind}", *FILES.items(), *droppings), tmp_path, MEGABYTE).name == "data"
    assert opened(make(tmp_path / f"b{kind}", ("iris.csv", b"x"), *droppings), tmp_path, MEGABYTE).name == "iris.csv"
    assert content(opened(make(tmp_path / f"c{kind}", ("a", b"x"), ("b", b"x")), tmp_path, MEGABYTE)) == {
        "a": b"x",
        "b": b"x",
    }


def test_an_archive_that_is_unpacked_already_is_not_unpacked_again(tmp_path):
    archive = make(tmp_path / "data.zip", ("data/a", b"x"))
    first = opened(archive, tmp_path, MEGABYTE)
    (first / "mark").touch()
    assert (opened(archive, tmp_path, MEGABYTE) / "mark").exists()
    make(archive, ("data/a", b"y"))
    assert content(opened(archive, tmp_path, MEGABYTE)) == {"a": b"y"}


NAMES = ("../out", "a/../../out", "/out/out", "..", "a\\..\\out", "C:\\out")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [".zip", ".tar"])
def test_a_name_that_leads_out_is_refused_and_named(tmp_path, kind, name):
    archive = make(tmp_path / f"evil{kind}", ("good", b"x"), (name, b"evil"))
    refused(archive, tmp_path, "would not lie below its folder")


def refused(archive: Path, folder: Path, told: str, max_bytes: int = MEGABYTE) -> None:
    with pytest.raises(DataError, match=told):
        unpack(archive, folder / "below" / "out", max_bytes)
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert left == {archive.name, "below"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"]
)
def test_links_and_devices_of_a_tar_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("evil")
    info.type, info.linkname = kind, "good"
    refused(tar(tmp_path / "evil.tar", ("good", b"x"), info), tmp_path, "'evil', which is a link or a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_of_a_zip_are_refused(tmp_path, kind):
    info = zipfile.ZipInfo("evil")
    info.external_attr = (kind | 0o777) << 16
    refused(zipped(tmp_path / "evil.zip", (info, b"/etc/passwd")), tmp_path, "'evil', which is a link or a device")


def test_permissions_and_owners_are_not_taken_over(tmp_path):
    info = tarfile.TarInfo("program")
    info.mode, info.uid = 0o6777, 12345
    unpack(tar(tmp_path / "a.tar", info), tmp_path / "out", MEGABYTE)
    state = (tmp_path / "out" / "program").stat()
    assert not state.st_mode & 0o7111
    assert state.st_uid == os.getuid()


@pytest.mark.parametrize("kind", [".zip", ".tar.gz", ".tar.xz"])
def test_no_more_is_unpacked_than_allowed(tmp_path, kind):
    archive = make(tmp_path / f"bomb{kind}", ("a", bytes(600_000)), ("b", bytes(600_000)))
    assert archive.stat().st_size < 10_000
    refused(archive, tmp_path, "holds more than the 1000000 bytes that data.max_gb allows")
    unpack(archive, tmp_path / "out", 1_200_000)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # the archive is meant to be wrong
def test_a_zip_that_lies_about_a_size_is_refused(tmp_path):
    archive = zipped(tmp_path / "liar.zip", ("a", bytes(600_000)))
    raw = archive.read_bytes()
    archive.write_bytes(raw.replace(struct.pack("<L", 600_000), struct.pack("<L", 10)))
    refused(archive, tmp_path, "can't be unpacked")


def test_a_header_that_asks_for_much_memory_is_refused(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 32
    with gzip.open(tmp_path / "evil.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        file.write(bytes(1 << 20))
    refused(tmp_path / "evil.tar.gz", tmp_path, "a header of 4294967296 bytes")


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("components.sources.archive.MOST_MEMBERS", 3)
    folders = [tarfile.TarInfo(f"folder-{number}") for number in range(4)]
    for folder in folders:
        folder.type = tarfile.DIRTYPE
    refused(tar(tmp_path / "many.tar", *folders), tmp_path, "more than 3 members")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # the archive is meant to be wrong
@pytest.mark.parametrize("kind", [".zip", ".tar"])
@pytest.mark.parametrize(
    ("names", "told"), [(("a", "a"), "'a' twice"), (("a", "a/b"), "'a/b' below a file"), (("a/b", "a"), "'a' twice")]
)
def test_two_members_that_want_the_same_place_are_refused(tmp_path, kind, names, told):
    refused(make(tmp_path / f"twice{kind}", *((name, b"x") for name in names)), tmp_path, told)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.9, 0.99])
def test_a_beginning_of_an_archive_is_refused(tmp_path, kind, part):
    whole = make(tmp_path / f"data{kind}", *((f"{number}", os.urandom(700)) for number in range(20)))
    # A tar ends in padding, which may be missing.
    size = 20 * 1536 if kind == ".tar" else whole.stat().st_size
    os.truncate(whole, int(size * part))
    refused(whole, tmp_path, "can't be unpacked")


def test_a_tar_that_ends_between_two_members_is_refused(tmp_path):
    archive = tar(tmp_path / "data.tar", ("a", b"x"), ("b", b"x"))
    os.truncate(archive, 1024)
    refused(archive, tmp_path, "it ends too early")


def test_a_wrong_checksum_at_the_end_of_the_compression_is_seen(tmp_path):
    archive = tar(tmp_path / "data.tar.gz", *FILES.items())
    raw = bytearray(archive.read_bytes())
    raw[-6] ^= 1
    archive.write_bytes(raw)
    refused(archive, tmp_path, "CRC check failed")


def test_an_encrypted_zip_is_refused(tmp_path):
    archive = zipped(tmp_path / "secret.zip", ("a", b"x"))
    raw = bytearray(archive.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(raw)
    refused(archive, tmp_path, "encrypted")


def test_a_name_too_long_for_the_disk_is_told_as_such(tmp_path):
    refused(zipped(tmp_path / "long.zip", ("x" * 300, b"x")), tmp_path, "File name too long")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    return {kind: make(folder / f"a{kind}", *FILES.items()).read_bytes() for kind in KINDS}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), at=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255))
def test_a_damaged_byte_gives_the_files_or_one_error(seeds, tmp_path_factory, kind, at, byte):
    folder = tmp_path_factory.mktemp("damaged")
    raw = bytearray(seeds[kind])
    raw[int(at * len(raw))] ^= byte
    archive = folder / f"a{kind}"
    archive.write_bytes(raw)
    try:
        unpack(archive, folder / "out", MEGABYTE)
    except DataError:
        assert {path.name for path in folder.iterdir()} == {archive.name}
    else:
        assert all(path.resolve().is_relative_to(folder) for path in folder.rglob("*"))


def test_places_lie_below_the_folder_and_apart(tmp_path):
    assert places(["a/b", "a/c"], tmp_path) == {"a/b": tmp_path / "a" / "b", "a/c": tmp_path / "a" / "c"}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a//b", "a/b"], "the same file"),
        (["a", "a/b"], "'a' would be a file and the folder of 'a/b'"),
        (["a/b/c", "a"], "'a' would be a file and the folder of 'a/b/c'"),
    ],
)
def test_names_that_want_the_same_place_are_refused(tmp_path, names, told):
    with pytest.raises(DataError, match=told):
        places(names, tmp_path)


@pytest.mark.parametrize("name", ["", ".", "/a", "../a", "a/..", "a\\b", "a\0b"])
def test_a_name_from_outside_stays_inside(tmp_path, name):
    with pytest.raises(DataError, match="would not lie below its folder"):
        inside(tmp_path, name)


def test_what_would_be_too_large_is_not_written_to_its_end(tmp_path):
    content = io.BytesIO(bytes(20 * BLOCK))
    assert _write(tmp_path / "file", content, 10) > 10
    assert content.tell() <= BLOCK
