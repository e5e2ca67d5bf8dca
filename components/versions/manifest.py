"""The manifest: what one version of a data set consists of, and where it lies in the object store.

It has no time and no place in it, so that equal pushes give equal bytes. A manifest that names a file outside its own
folder, or one file twice, is refused wherever it comes from.
"""

import re
import tempfile
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.errors import StoreError
from components.store import Store
from modelpackage import canonical_json
from modelpackage.descriptor import ModelName, Sha256

SCHEME = "data://"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
PREFIX = re.compile(r"[0-9a-f]{6,64}")
MANIFEST = re.compile(r"datasets/([^/]+)/versions/([0-9a-f]{64})\.json")

Size = Annotated[int, Field(ge=0)]

R = TypeVar("R", bound="Record")


class Record(BaseModel):
    """The base of what is stored: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(Record):
    """A file of a version.

    Attributes:
        path: Its place below the version's folder, with ``/``.
        sha256: SHA-256 of its bytes.
        size: Its size in bytes.
    """

    path: Annotated[str, Field(min_length=1)]
    sha256: Sha256
    size: Size

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        parts = self.path.split("/")
        if "\0" in self.path or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"the path {self.path!r} leaves the folder or is no path; use one like cat/1.jpg")
        return self


class Summary(Record):
    """What reading a version gave.

    Attributes:
        format: How its files are read.
        kind: What a row is: ``image`` or ``tabular``.
        label: Tables: the column whose classes the digest covers.
        rows: Rows with a label that can be read.
        labels: Rows of each class.
    """

    format: Literal["csv", "parquet", "idx", "pictures"]
    kind: Literal["image", "tabular"]
    label: str | None = None
    rows: Size
    labels: dict[str, Size]


class Manifest(Summary):
    """A version.

    Attributes:
        name: The data set.
        digest: The version, as a run computes it of its rows; not a digest of the files.
        files: Every file, ascending by path.
    """

    name: ModelName
    digest: Sha256
    files: Annotated[tuple[Entry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_place_each(self) -> Self:
        paths = [entry.path for entry in self.files]
        for first, second in pairwise(paths):
            if first >= second:
                raise ValueError(f"the files must ascend by path, each once; {second!r} follows {first!r}")
        inside = {parent.as_posix() for path in paths for parent in PurePosixPath(path).parents}
        for path in paths:
            if path in inside:
                raise ValueError(f"{path!r} is a file and a folder")
        return self

    @property
    def ref(self) -> str:
        """The version as people write it: the name and enough of the digest."""
        return f"{self.name}@{self.digest[:12]}"

    @property
    def bytes(self) -> int:
        """The size of all files, in bytes."""
        return sum(entry.size for entry in self.files)


class Push(Record):
    """When a version was pushed first."""

    pushed: AwareDatetime


def content_key(name: str, sha256: str) -> str:
    """Return where a content of a data set lies."""
    return f"datasets/{name}/files/{sha256}"


def manifest_key(name: str, digest: str) -> str:
    """Return where the manifest of a version lies."""
    return f"datasets/{name}/versions/{digest}.json"


def push_key(name: str, digest: str) -> str:
    """Return where the time of a version lies."""
    return f"datasets/{name}/pushed/{digest}.json"


def write(store: Store, key: str, record: Record) -> bool:
    """Write a record unless the key is taken; tells whether this call wrote it."""
    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        path = Path(scratch) / "record.json"
        path.write_bytes(canonical_json(record.model_dump(mode="json")))
        return store.create(key, path)


def read(store: Store, record: type[R], key: str) -> R:
    """Read a record.

    Raises:
        StoreError: There is none, or it is not what a push writes.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        path = Path(scratch) / "record.json"
        store.get(key, path)
        content = path.read_bytes()
    try:
        return record.model_validate_json(content)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        told = ": ".join(
            [*filter(None, [".".join(map(str, first["loc"]))]), first["msg"].removeprefix("Value error, ")]
        )
    raise StoreError(f"{key} in {store.uri} is not what a push wrote: {told}; remove it and push again")


def read_manifest(store: Store, name: str, digest: str) -> Manifest:
    """Read the manifest of a version.

    Raises:
        StoreError: There is none, or it is not what a push writes.
    """
    key = manifest_key(name, digest)
    manifest = read(store, Manifest, key)
    if (manifest.name, manifest.digest) != (name, digest):
        raise StoreError(f"{key} in {store.uri} is the manifest of {manifest.ref}; remove it and push again")
    return manifest


def known(store: Store, name: str | None = None) -> list[tuple[str, str]]:
    """Return the name and the digest of every version of a data set, or of all."""
    keys = store.keys(f"datasets/{name}/versions/" if name else "datasets/")
    return [(match[1], match[2]) for match in map(MANIFEST.fullmatch, keys) if match and NAME.fullmatch(match[1])]


def check_name(name: str) -> None:
    """Refuse what can't be the name of a data set.

    Raises:
        StoreError: It breaks the rule.
    """
    if not NAME.fullmatch(name):
        raise StoreError(
            f"{name!r} can't name a data set; use lower-case letters, digits and dashes, at most 63, like my-digits"
        )


def resolve(store: Store, ref: str) -> Manifest:
    """Return the version that a reference names.

    Args:
        store: The store.
        ref: ``NAME`` for the newest, or ``NAME@DIGEST`` with at least 6 digits; ``data://`` may stand before it.

    Raises:
        StoreError: There is no such version, or more than one.
    """
    name, separator, prefix = ref.removeprefix(SCHEME).partition("@")
    check_name(name)
    if separator and not PREFIX.fullmatch(prefix):
        raise StoreError(f"{ref!r}: a version is named by 6 to 64 of the digits 0-9 and a-f, like {name}@0123456789ab")
    digests = [digest for _, digest in known(store, name)]
    if not digests:
        names = sorted({other for other, _ in known(store)})
        raise StoreError(f"{store.uri} has no data set {name!r}; it has {', '.join(names) or 'none'}")
    fitting = [digest for digest in digests if digest.startswith(prefix)]
    if separator and len(fitting) != 1:
        told = f"{len(fitting)} versions of {name} begin with {prefix}" if fitting else f"{store.uri} has no {ref}"
        raise StoreError(f"{told}; choose one of {', '.join(f'{name}@{digest}' for digest in fitting or digests)}")
    newest = fitting[0] if len(fitting) == 1 else max(fitting, key=lambda digest: _age(store, name, digest))
    return read_manifest(store, name, newest)


def _age(store: Store, name: str, digest: str) -> tuple[float, str]:
    return read(store, Push, push_key(name, digest)).pushed.timestamp(), digest
