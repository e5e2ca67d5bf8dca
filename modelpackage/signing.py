"""Who vouches for a package: detached Ed25519 signatures over its seal, and the keys that make and check them.

A signature lies beside the sealed files in ``model.json.sig`` and changes neither them nor the package's digest.
Refused are signature files that are not in their one form, and keys of any other kind than Ed25519; no message ever
holds what stands in a key file. May be imported by everything; needs ``cryptography`` only when a key is used.
"""

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelpackage.errors import DescriptorError, KeyFileError, PackageChangedError, PackageError
from modelpackage.format import MAX_KEY_BYTES, MAX_SIGNATURES, SIGNATURES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Stands in front of the seal in what is signed: nothing else that the key signs can be taken for a package.
DOMAIN = b"slipway model package signature 1\n"
ID_DIGITS = 16
LINE = re.compile(rb"ed25519 ([0-9a-f]{16}) ([0-9a-f]{128})\n")
LINE_BYTES = 154
PUBLIC = re.compile(rb"-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*")
PRIVATE_NAME, PUBLIC_NAME = "private.pem", "public.pem"


@dataclass(frozen=True)
class PublicKey:
    """A key that checks signatures.

    Attributes:
        raw: The 32 bytes of RFC 8032.
    """

    raw: bytes

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of its bytes."""
        return hashlib.sha256(self.raw).hexdigest()[:ID_DIGITS]

    def made(self, signature: bytes, seal: str) -> bool:
        """Tell whether a signature, 64 bytes, of a seal's text was made with the private part of this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message(seal))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs; nothing prints what it is made of."""

    _key: "Ed25519PrivateKey"

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""
        return PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, seal: str) -> dict[str, bytes]:
        """Return the signature of a seal's text, 64 bytes, under the id of this key; always the same one."""
        return {self.public.id: self._key.sign(message(seal))}


def message(seal: str) -> bytes:
    """Return what is signed: a line that says what for, and the text of the seal."""
    return DOMAIN + seal.encode()


def render_signatures(signatures: Mapping[str, bytes]) -> bytes:
    """Return the content of ``model.json.sig``: one line for each key, in the order of their ids.

    Args:
        signatures: 64 bytes by the id of the key.

    Raises:
        PackageError: There are more than a signature file holds.
    """
    if len(signatures) > MAX_SIGNATURES:
        raise PackageError(
            f"{len(signatures)} keys signed the package, {SIGNATURES} holds at most {MAX_SIGNATURES}; "
            "remove that file and sign with the keys that are in use"
        )
    return b"".join(f"ed25519 {key} {signature.hex()}\n".encode() for key, signature in sorted(signatures.items()))


def read_signatures(path: Path) -> dict[str, bytes]:
    """Return the signatures beside a package, 64 bytes by the id of their key; nothing where it has none.

    Args:
        path: The package's directory.

    Raises:
        PackageChangedError: ``model.json.sig`` is a link, a folder or a device.
        DescriptorError: It is not in its form.
    """
    place = path / SIGNATURES
    try:
        state = place.lstat()
    except FileNotFoundError:
        return {}
    if not stat.S_ISREG(state.st_mode):
        raise PackageChangedError(path, changed={SIGNATURES: ("a regular file", "a link, a folder or a device")})
    with place.open("rb") as file:
        raw = file.read(MAX_SIGNATURES * LINE_BYTES + 1)
    found = {key.decode(): bytes.fromhex(digits.decode()) for key, digits in LINE.findall(raw)}
    # Rendered again it is the same: no empty file, no other order, no key twice, nothing before, between or behind.
    if not 0 < len(found) <= MAX_SIGNATURES or render_signatures(found) != raw:
        raise DescriptorError(
            f"{place} is not 1 to {MAX_SIGNATURES} lines 'ed25519 KEY SIGNATURE' in the order of the keys; "
            "remove it and sign the package again"
        )
    return found


def read_keys(path: Path | str) -> tuple[PublicKey, ...]:
    """Return public keys, each of them once.

    Args:
        path: A PEM file with at least one public key, or a folder of such files named ``*.pem``.

    Raises:
        KeyFileError: There is no key, or something else than public Ed25519 keys.
    """
    path = Path(path)
    files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
    if not files:
        raise KeyFileError(f"{path} holds no public key: there is no *.pem in it")
    return tuple(dict.fromkeys(key for file in files for key in _public_keys(file)))


def read_private_key(path: Path | str) -> PrivateKey:
    """Return the key that signs.

    Args:
        path: A PEM file with an unencrypted private Ed25519 key.

    Raises:
        KeyFileError: It holds anything else, or can't be read.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    raw = _read(Path(path))
    try:
        key = load_pem_private_key(raw, password=None)
    except TypeError:
        raise KeyFileError(f"{path} is encrypted; give the private key without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):  # their messages may quote the file
        raise KeyFileError(f"{path} is no private key in PEM; slipway sign --new-key makes one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} is no Ed25519 key; slipway sign --new-key makes one")
    return PrivateKey(key)


def new_keys(folder: Path | str) -> PrivateKey:
    """Make a pair of keys: ``private.pem``, which only its owner may read, and ``public.pem``.

    Args:
        folder: Where to; made if it does not exist.

    Raises:
        KeyFileError: One of the two files exists, and keys are never overwritten; or they can't be written, and none of
            them stays.
    """
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder = Path(folder)
    taken = [str(folder / name) for name in (PRIVATE_NAME, PUBLIC_NAME) if os.path.lexists(folder / name)]
    if taken:
        raise KeyFileError(f"{' and '.join(taken)} exists already; keys are never overwritten, choose a new place")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as undo:
            for name, content, mode in ((PRIVATE_NAME, secret, 0o600), (PUBLIC_NAME, public, 0o644)):
                with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                    undo.callback((folder / name).unlink)
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            undo.pop_all()
    except OSError as error:
        reason = "that is no folder" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise KeyFileError(f"keys can't be written to {folder}: {reason}; choose another folder") from None
    return PrivateKey(key)


def _public_keys(path: Path) -> list[PublicKey]:
    raw = _read(path)
    if b"PRIVATE KEY" in raw:
        raise KeyFileError(
            f"{path} holds a private key; give the public one, and keep this file where packages are signed"
        )
    blocks = PUBLIC.findall(raw)
    if not blocks or b"".join(blocks) != raw.lstrip():
        raise KeyFileError(f"{path} holds something else than public keys in PEM")
    return [_public_key(block, path) for block in blocks]


def _public_key(block: bytes, path: Path) -> PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key: Any = None
    with suppress(ValueError, UnsupportedAlgorithm):  # their messages may quote the file
        key = load_pem_public_key(block)
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} holds a public key that is no Ed25519 key in PEM")
    return PublicKey(key.public_bytes_raw())


def _read(path: Path) -> bytes:
    try:
        if path.is_file():
            with path.open("rb") as file:
                raw = file.read(MAX_KEY_BYTES + 1)
        else:
            raise KeyFileError(f"{path} is no file; give a key in PEM")
    except OSError as error:
        raise KeyFileError(f"the key {path} can't be read: {error.strerror}") from None
    if len(raw) > MAX_KEY_BYTES:
        raise KeyFileError(f"{path} has more than {MAX_KEY_BYTES} bytes, which is more than keys take")
    return raw
