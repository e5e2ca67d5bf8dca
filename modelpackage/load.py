"""A directory in, a trusted package out, or a precise refusal."""

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path

from modelpackage.descriptor import Descriptor
from modelpackage.digest import file_digest
from modelpackage.errors import DescriptorError, PackageChangedError, PackageMissingError
from modelpackage.format import DESCRIPTOR, GOLDEN, GRAPH, REFERENCE, SEAL
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
            PackageChangedError: The file changed since the package was loaded.
        """
        content = (self.path / name).read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.descriptor.files[name].sha256:
            raise PackageChangedError(self.path, changed={name: (self.descriptor.files[name].sha256, found)})
        return content

    def graph(self) -> bytes:
        """Return the ONNX graph."""
        return self.read(GRAPH)

    def golden(self) -> Golden:
        """Return the golden examples."""
        return Golden.parse(self.read(GOLDEN))

    def reference(self) -> Reference:
        """Return the drift reference."""
        return Reference.parse(self.read(REFERENCE))


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
    if not descriptor_path.is_file():
        raise PackageMissingError(
            f"{path} holds no finished model package: there is no {DESCRIPTOR}, which is written last"
        )
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
    seal = seal_path.read_bytes()[:4096]
    if seal != seal_text(found).encode():
        sealed = seal[:64].decode("ascii", "replace")
        if sealed == found:
            raise DescriptorError(f"{path / SEAL} is not in the form that sha256sum writes; fetch the package again")
        raise PackageChangedError(path, changed={DESCRIPTOR: (sealed, found)})


def _check_files(path: Path, descriptor: Descriptor) -> None:
    present = {entry.name: entry.lstat() for entry in path.iterdir()}
    expected = {DESCRIPTOR, SEAL, *descriptor.files}
    # A link or a folder under a sealed name is not the file that was sealed.
    strange = {name for name, status in present.items() if not stat.S_ISREG(status.st_mode)}
    changed = {}
    for name, file in sorted(descriptor.files.items()):
        if name not in present or name in strange:
            continue
        if present[name].st_size != file.size:
            changed[name] = (f"{file.size} bytes", f"{present[name].st_size} bytes")
        elif (found := file_digest(path / name)) != file.sha256:
            changed[name] = (file.sha256, found)
    missing = sorted(expected - set(present))
    extra = sorted((set(present) - expected) | strange)
    if missing or extra or changed:
        raise PackageChangedError(path, missing=missing, extra=extra, changed=changed)
