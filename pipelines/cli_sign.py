"""``slipway sign``, and the keys of ``slipway verify``: who vouches for a package; imports wait until needed."""

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.store import Store
    from modelpackage import PublicKey

VARIABLE = "SLIPWAY_SIGNING_KEY"


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", profile: argparse.ArgumentParser
) -> None:
    """Register ``sign``."""
    sign = commands.add_parser("sign", parents=[profile], help="sign a package, or make the keys for it")
    sign.add_argument("package", nargs="?", help="a path, file:///path or s3://bucket/name/sha256-...")
    sign.add_argument("--key", type=Path, metavar="FILE", help=f"the private key; default: {VARIABLE}")
    sign.add_argument("--new-key", type=Path, metavar="FOLDER", help="write private.pem and public.pem, sign nothing")
    sign.set_defaults(command=_sign)


def takes_keys(parser: argparse.ArgumentParser) -> None:
    """Add ``--public-keys`` to a command that reads a package."""
    parser.add_argument(
        "--public-keys", type=Path, metavar="PATH", help="a key or a folder of *.pem: one of them must have signed it"
    )


def trusted(options: argparse.Namespace) -> "tuple[PublicKey, ...] | None":
    """Return the keys that ``--public-keys`` names, None where nothing need be signed."""
    from modelpackage import read_keys

    return read_keys(options.public_keys) if options.public_keys else None


def refuse_unsignable() -> None:
    """Refuse, before a run starts, a key that could not sign what it publishes; make its path hold in every step."""
    if place := os.environ.get(VARIABLE):
        from modelpackage import read_private_key

        read_private_key(place)
        os.environ[VARIABLE] = str(Path(place).absolute())


def _sign(options: argparse.Namespace) -> int:
    from pipelines.errors import RunError

    if (options.package is None) == (options.new_key is None) or (options.new_key and options.key):
        raise RunError("sign takes a package with --key FILE, or --new-key FOLDER alone")
    if options.new_key:
        return _new_key(options.new_key)
    place = options.key or os.environ.get(VARIABLE)
    if not place:
        raise RunError(f"there is no key to sign with; give --key FILE, or set {VARIABLE} to its path")
    return _sign_package(options.package, Path(place))


def _new_key(folder: Path) -> int:
    from modelpackage import new_keys

    key = new_keys(folder)
    _tell(f"private   {folder / 'private.pem'}: signs, so keep it where packages are published and nowhere else")
    _tell(f"public    {folder / 'public.pem'}: checks, so give it to every reader")
    _tell(f"key       {key.public.id}")
    return 0


def _sign_package(place: str, file: Path) -> int:
    from components.fetch import fetch
    from components.publish import add_signatures
    from modelpackage import read_private_key

    key = read_private_key(file)
    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        package = fetch(place, Path(scratch))
        add_signatures(*_beside(place, package.path), package.sign(key))
        signed = fetch(place, Path(scratch) / "signed", [key.public])
    _tell(f"signed    {place}")
    _tell(f"package   {signed.descriptor.name}, sha256:{signed.digest}")
    _tell(f"key       {key.public.id}")
    return 0


def _beside(place: str, path: Path) -> "tuple[Store, str]":
    """Return the store that a package lies in and its key prefix there."""
    from components.store import FolderStore, open_store

    if place.startswith("s3://"):
        return open_store(place.rstrip("/")), ""
    # What is half written lies in the root of a folder store, so the root is the folder around the package.
    path = path.resolve()
    return FolderStore(path.parent), f"{path.name}/"


def _tell(text: str) -> None:
    print(text)  # noqa: T201 (the command line speaks on standard output)
