"""Every error of the contract.

PackageError
├── PackageMissingError       there is no finished package at this place
├── DescriptorError           model.json does not follow the format
│   └── FormatError           model.json is of another format number
├── PackageChangedError       files are missing, extra or changed
├── UnsignedError             nobody signed it, and a signature is required
├── UntrustedError            no signature of it is one of a trusted key
├── KeyFileError              a file holds no key that signatures are made or checked with
├── SignatureError            an array does not fit the model's signature
├── PictureError              an encoded picture can't be turned into an array
└── GoldenError               the model does not reproduce its own recorded outputs
"""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

#: A hostile file must not fill a log through the message that refuses it.
MAX_FAULT_CHARACTERS = 300


class PackageError(ValueError):
    """A model package can't be used; the message says why and what to do."""


class PackageMissingError(PackageError):
    """There is no finished package at the given place."""


class DescriptorError(PackageError):
    """The descriptor does not follow the format."""


class FormatError(DescriptorError):
    """The descriptor has a format number that this reader does not know."""


class PackageChangedError(PackageError):
    """The files are not the ones that were sealed.

    Args:
        where: The package.
        missing: Files that the descriptor lists and the directory lacks.
        extra: Files that the directory has and the descriptor does not list.
        changed: For each changed file what was sealed and what was found.
    """

    def __init__(
        self,
        where: object,
        *,
        missing: Sequence[str] = (),
        extra: Sequence[str] = (),
        changed: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.missing = tuple(missing)
        self.extra = tuple(extra)
        self.changed = dict(changed or {})
        parts = [f"missing: {', '.join(self.missing)}"] if self.missing else []
        if self.extra:
            parts.append(f"not part of it: {', '.join(self.extra)}")
        parts += [f"changed: {name} (sealed {was}, found {now})" for name, (was, now) in self.changed.items()]
        super().__init__(f"{where} is not the package that was sealed; {'; '.join(parts)}; fetch or build it again")


class UnsignedError(PackageError):
    """Nobody signed the package, and a signature is required."""


class UntrustedError(PackageError):
    """The package is signed, but not by a trusted key, or the signature of a trusted key is not one of this package."""


class KeyFileError(PackageError):
    """A file holds no key that signatures are made or checked with."""


class SignatureError(PackageError):
    """An array does not fit the signature."""


class PictureError(PackageError):
    """An encoded picture can't be turned into an array."""


class GoldenError(PackageError):
    """The model does not reproduce the outputs that were recorded when it was sealed."""


def fault(error: ValidationError) -> str:
    """Return the first fault that pydantic found as ``field: reason``, and how many more there are."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "the whole"
    more = f" (+{error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {first['msg']}"[:MAX_FAULT_CHARACTERS] + more
