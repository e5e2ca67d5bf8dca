"""A directory in, a trusted package out, or a precise refusal."""

import hashlib
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelpackage.descriptor import Descriptor
from modelpackage.digest import file_digest
from modelpackage.errors import (
    DescriptorError,
    PackageChangedError,
    PackageMissingError,
    UnsignedError,
    UntrustedError,
)
from modelpackage.format import (
    DESCRIPTOR,
    GOLDEN,
    GRAPH,
    MAX_DESCRIPTOR_BYTES,
    MAX_SEAL_BYTES,
    REFERENCE,
    SEAL,
    SIGNATURES,
)
from modelpackage.golden import Golden
from modelpackage.reference import Reference
from modelpackage.signing import PrivateKey, PublicKey, read_signatures


@dataclass(frozen=True)
class Package:
    """A verified model package.

    Attributes:
        path: Its directory.
        descriptor: The content of its ``model.json``.
        signed_by: Ids of the keys whose signatures were required and found.
    """

    path: Path
    descriptor: Descriptor
    signed_by: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The identity: SHA-256 of ``model.json``, 64 hexadecimal digits."""
        return self.descriptor.digest

    def sign(self, key: PrivateKey) -> dict[str, bytes]:
        """Return the key's signature of this package, 64 bytes by the key's id; nothing is written."""
        return key.sign(seal_text(self.digest))

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


def load(path: Path | str, *, digest: str | None = None, keys: Sequence[PublicKey] | None = None) -> Package:
    """Verify a package and return it.

    Args:
        path: The package's directory.
        digest: The identity that it must have; without, the package's own seal is trusted.
        keys: Those of which one must have signed it (:func:`modelpackage.read_keys`); without, nobody need have.

    Raises:
        PackageMissingError: No directory, or no ``model.json`` in it: sealing did not finish.
        DescriptorError: ``model.json`` does not follow the format, or ``model.json.sig`` is not in its form.
        PackageChangedError: Files are missing, extra or changed, ``model.json`` included.
        UnsignedError: Keys are given and nobody signed it.
        UntrustedError: Keys are given and none of them signed it, or a signature under one of them is not its own.
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
    signed_by = _check_signatures(path, raw, keys)
    descriptor = Descriptor.parse(raw)
    _check_files(path, descriptor)
    return Package(path=path, descriptor=descriptor, signed_by=signed_by)


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


def _check_signatures(path: Path, raw: bytes, keys: Sequence[PublicKey] | None) -> tuple[str, ...]:
    """Return the ids of the keys that signed, before anything of what was signed is interpreted."""
    signatures = read_signatures(path)
    if keys is None:
        return ()
    trusted = " or ".join(key.id for key in keys) or "none"
    if not signatures:
        raise UnsignedError(
            f"{path} is not signed: there is no {SIGNATURES}, and a signature is required (trusted keys: {trusted}); "
            "sign it with slipway sign"
        )
    seal = seal_text(hashlib.sha256(raw).hexdigest())
    known = [key for key in keys if key.id in signatures]
    for key in known:
        if not key.made(signatures[key.id], seal):
            raise UntrustedError(
                f"{path} is not what the key {key.id} signed: the signature in {SIGNATURES} is another package's, "
                "or changed; fetch or sign it again"
            )
    if not known:
        raise UntrustedError(
            f"{path} is signed by {', '.join(signatures)} and by no trusted key ({trusted}); sign it with one of these"
        )
    return tuple(key.id for key in known)


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
    missing, extra = sorted(expected - present.keys()), sorted(present.keys() - expected - {SIGNATURES})
    if missing or extra or changed:
        raise PackageChangedError(path, missing=missing, extra=extra, changed=changed)
