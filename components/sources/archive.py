"""Archives: unpacked whole or not at all, never outside their folder, and no larger than allowed.

Links, devices, names that lead out of the folder, damaged archives and those that unpack to more than is allowed are
refused. For ``components/sources/remote.py``.
"""

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from components.console import say
from components.errors import DataError
from modelpackage import file_digest

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
#: How the compressions of a tar begin; their suffixes lie now and then.
COMPRESSIONS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
MOST_MEMBERS = 2_000_000
BLOCK = 1 << 20
MOST_HEADER = 1 << 24
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, RuntimeError, ValueError)

#: A name and, of a file, its content.
Member = tuple[str, IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Tell by its name whether a file is an archive."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def inside(folder: Path, name: str) -> Path:
    """Return where something goes whose name comes from outside: below the folder.

    Raises:
        DataError: The name leads elsewhere.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise DataError(f"{name!r} would not lie below its folder; rename it")
    return folder.joinpath(*parts)


def places(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Return where each of several things goes whose names come from outside.

    Raises:
        DataError: One leads elsewhere, or would be the same file as another, or lie below it.
    """
    found = {name: inside(folder, name) for name in names}
    taken: dict[Path, str] = {}
    for name, path in found.items():
        if taken.setdefault(path, name) != name:
            raise DataError(f"{taken[path]!r} and {name!r} would be the same file; rename one")
    for name, path in found.items():
        if above := next((taken[parent] for parent in path.parents if parent in taken), None):
            raise DataError(f"{above!r} would be a file and the folder of {name!r}; rename one")
    return found


def opened(path: Path, folder: Path, max_bytes: int) -> Path:
    """Return what is in an archive, unpacked below a folder unless it is there already.

    Where the archive holds one folder, or one file, and nothing beside it, as most do, that is returned.
    """
    target = folder / f"unpacked-{file_digest(path)[:16]}"
    if not target.exists():
        say(f"unpacking {path.name}")
        unpack(path, target, max_bytes)
    found = list(target.iterdir())
    return found[0] if len(found) == 1 else target


def unpack(path: Path, target: Path, max_bytes: int) -> None:
    """Unpack an archive; owners and permissions of its files are not taken over.

    Args:
        path: The archive.
        target: The folder to make; it appears whole. Only one process at a time may make it.
        max_bytes: The most that its files may hold, counted while they are written.

    Raises:
        DataError: It is damaged or too large, or a member is a link or would leave the folder.
    """
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _fill(partial, path, max_bytes)
        partial.rename(target)
    except DAMAGE as error:
        raise DataError(f"{path.name} can't be unpacked: {error}; get it again") from None
    except OSError as error:
        # The decompressors report damage as an OSError that no system call gave.
        cure = "get it again" if error.errno is None else f"make {target.parent} writable, with room enough"
        raise DataError(f"{path.name} can't be unpacked: {error.strerror or error}; {cure}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(folder: Path, path: Path, max_bytes: int) -> None:
    left = max_bytes
    members = _zip(path) if path.name.lower().endswith(".zip") else _tar(path)
    for number, (name, content) in enumerate(members, 1):
        if number > MOST_MEMBERS:
            raise DataError(f"{path.name} has more than {MOST_MEMBERS} members; split it")
        if content is None or _dropping(name):
            continue
        size = _write(_new(folder, name, path.name), content, left)
        if size > left:
            raise DataError(f"{path.name} holds more than the {max_bytes} bytes that data.max_gb allows; raise it")
        left -= size


def _zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_a_file(path, member.filename)
            if member.is_dir():
                yield member.filename, None
            else:
                with archive.open(member) as content:
                    yield member.filename, content


def _tar(path: Path) -> Iterator[Member]:
    with path.open("rb") as file:
        head = file.read(8)
    opener = next((opener for magic, opener in COMPRESSIONS.items() if head.startswith(magic)), open)
    with opener(path, "rb") as plain:
        archive: Any = tarfile.TarFile(fileobj=cast("IO[bytes]", _Frugal(plain)))
        while member := archive.next():
            archive.members = []  # it would keep them all
            if not (member.isreg() or member.isdir()):
                raise _not_a_file(path, member.name)
            yield member.name, archive.extractfile(member)
        # Where a header is damaged or missing, tarfile stops as if that were the end.
        plain.seek(archive.offset)
        if any(plain.read(tarfile.BLOCKSIZE)) or plain.tell() != archive.offset + tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it ends too early")
        plain.read(BLOCK)  # the padding, after which the decompressor holds all it read against its checksum


class _Frugal:
    """A file that tarfile reads from, and that gives no header all the memory it asks for."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._read(size)


def _not_a_file(path: Path, name: str) -> DataError:
    return DataError(f"{path.name} holds {name!r}, which is a link or a device and could lead anywhere; remove it")


def _dropping(name: str) -> bool:
    """Tell what the archivers of macOS add of their own."""
    return any(part in ("__MACOSX", ".DS_Store") or part.startswith("._") for part in name.split("/"))


def _new(folder: Path, name: str, archive: str) -> Path:
    """Return the path of a member, at which nothing is yet."""
    try:
        path = inside(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
    except DataError as error:
        raise DataError(f"{archive}: {error}") from None
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{archive} holds {name!r} below a file; remove one of them") from None
    if path.exists():
        raise DataError(f"{archive} holds {name!r} twice; remove one of them")
    return path


def _write(path: Path, content: IO[bytes], left: int) -> int:
    """Write what comes, but little more than what is left, and return the size."""
    written = 0
    with path.open("xb") as file:
        while written <= left and (block := content.read(BLOCK)):
            written += file.write(block)
    return written
