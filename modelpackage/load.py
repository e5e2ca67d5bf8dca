"""A directory in, a trusted package out, or a precise refusal."""

import hashlib
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from modelpackage.descriptor import Descriptor
from modelpackage.digest import file_digest
from modelpackage.errors import DescriptorError, PackageChangedError, PackageMissingError
from modelpackage.format import DESCRIPTOR, GOLDEN, GRAPH, MAX_DESCRIPTOR_BYTES, MAX_SEAL_BYTES, REFERENCE, SEAL
from modelpackage.golden import Golden
from modelpackage.reference import Reference


@dataclass(frozen=True)
class Package:
    """A verified model package.

    Attributes:
        path: Its directory.
        descriptor: The content of its ``model.json``.
    """

    path: Path
    descriptor: Descriptor

    @property
    def digest(self) -> str:
        """The identity: SHA-256 of ``model.json``, 64 hexadecimal digits."""
        return self.descriptor.digest

    def read(self, name: str) -> bytes:
        """Return a file's bytes, verified once more so that what is used is what was sealed.

        Raises:
            PackageChangedError: The file changed or went since the package was loaded.
        """
        try:
            content = (self.path / name).read_bytes()
        except FileNotFoundError:
            raise PackageChangedError(self.path, missing=[name]) from None
        found = hashlib.sha256(content).hexdigest()
        if found != self.descriptor.files[name].sha256:
            raise PackageChangedError(self.path, changed={name: (self.descriptor.files[name].sha256, found)})
        return content

    def graph(self) -> bytes:
        """Return the ONNX graph."""
        return self.read(GRAPH)

    def golden(self) -> Golden:
        """Return the golden examples, which fit the signature."""
        golden = Golden.parse(self.read(GOLDEN))
        golden.match(self.descriptor.signature)
        return golden

    def reference(self) -> Reference:
        """Return the drift reference, which counts the labels of the descriptor."""
        reference = Reference.parse(self.read(REFERENCE))
        if self.descriptor.format == 1 and (reference.missing is not None or reference.texts is not None):
            raise DescriptorError("reference.json: format 1 knows neither text nor missing values")
        reference.match(self.descriptor.labels)
        return reference


def load(path: Path | str, *, digest: str | None = None) -> Package:
    """Verify a package and return it.

    Args:
        path: The package's directory.
        digest: The identity that it must have; without, the package's own seal is trusted.

    Raises:
        PackageMissingError: No directory, or no ``model.json`` in it: sealing did not finish.
        DescriptorError: ``model.json`` does not follow the format.
        PackageChangedError: Files are missing, extra or changed, ``model.json`` included.
    """
    path = Path(path)
    descriptor_path = path / DESCRIPTOR
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise PackageMissingError(f"{path} {what}; give the folder of a model package")
    if not descriptor_path.is_file():
        raise PackageMissingError(
            f"{path} holds no finished model package: there is no {DESCRIPTOR}, which is written last"
        )
    size = descriptor_path.stat().st_size
    if size > MAX_DESCRIPTOR_BYTES:
        raise DescriptorError(f"{descriptor_path} has {size} bytes, the limit is {MAX_DESCRIPTOR_BYTES}")
    raw = descriptor_path.read_bytes()
    _check_seal(path, raw, digest)
    descriptor = Descriptor.parse(raw)
    _check_files(path, descriptor)
    return Package(path=path, descriptor=descriptor)


def seal_text(digest: str) -> str:
    """Return the content of the seal, which ``sha256sum --check`` understands."""
    return f"{digest}  {DESCRIPTOR}\n"


def _check_seal(path: Path, raw: bytes, digest: str | None) -> None:
    found = hashlib.sha256(raw).hexdigest()
    if digest is not None and found != digest:
        raise PackageChangedError(path, changed={DESCRIPTOR: (digest, found)})
    seal_path = path / SEAL
    if not seal_path.is_file():
        raise PackageChangedError(path, missing=[SEAL])
    with seal_path.open("rb") as file:
        seal = file.read(MAX_SEAL_BYTES)
    digits = re.match(rb"[0-9a-f]{64}", seal)
    sealed = digits[0].decode() if digits else ""
    if seal != seal_text(sealed).encode():
        raise DescriptorError(f"{seal_path} is not in the form that sha256sum writes; fetch the package again")
    if sealed != found:
        raise PackageChangedError(path, changed={DESCRIPTOR: (sealed, found)})


def _check_files(path: Path, descriptor: Descriptor) -> None:
    present = {entry.name: entry.lstat() for entry in path.iterdir()}
    expected = {DESCRIPTOR, SEAL, *descriptor.files}
    changed = {}
    for name in sorted(expected & present.keys()):
        if not stat.S_ISREG(present[name].st_mode):
            changed[name] = "a regular file", "a link, a folder or a device"
        elif name in descriptor.files:  # the other two were compared with each other
            file = descriptor.files[name]
            sealed = f"{file.sha256}, {file.size} bytes"
            found = f"{file_digest(path / name)}, {present[name].st_size} bytes"
            if found != sealed:
                changed[name] = sealed, found
    missing, extra = sorted(expected - present.keys()), sorted(present.keys() - expected)
    if missing or extra or changed:
        raise PackageChangedError(path, missing=missing, extra=extra, changed=changed)
