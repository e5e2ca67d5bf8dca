"""The contract between training and serving: a sealed model package.

Training calls :func:`seal`, serving calls :func:`load`; nothing else passes between them. This package depends on numpy
and pydantic, and on cryptography where packages are signed or signatures required. It imports nothing else of the
project and may be imported by everything. ``docs/model-package.md`` is the format.
"""

from modelpackage.descriptor import Descriptor, File, Lineage
from modelpackage.digest import canonical_json, file_digest
from modelpackage.errors import (
    DescriptorError,
    FormatError,
    GoldenError,
    KeyFileError,
    PackageChangedError,
    PackageError,
    PackageMissingError,
    PictureError,
    SignatureError,
    UnsignedError,
    UntrustedError,
)
from modelpackage.format import DESCRIPTOR, FORMAT, PARTS, SEAL, SIGNATURES
from modelpackage.golden import Golden
from modelpackage.load import Package, load
from modelpackage.picture import Picture, count_pixels
from modelpackage.reference import Histogram, Reference, Texts, count_texts, describe, histogram
from modelpackage.seal import seal
from modelpackage.signature import Signature, Tensor
from modelpackage.signing import (
    PrivateKey,
    PublicKey,
    new_keys,
    read_keys,
    read_private_key,
    read_signatures,
    render_signatures,
)

__all__ = [
    "DESCRIPTOR",
    "FORMAT",
    "PARTS",
    "SEAL",
    "SIGNATURES",
    "Descriptor",
    "DescriptorError",
    "File",
    "FormatError",
    "Golden",
    "GoldenError",
    "Histogram",
    "KeyFileError",
    "Lineage",
    "Package",
    "PackageChangedError",
    "PackageError",
    "PackageMissingError",
    "Picture",
    "PictureError",
    "PrivateKey",
    "PublicKey",
    "Reference",
    "Signature",
    "SignatureError",
    "Tensor",
    "Texts",
    "UnsignedError",
    "UntrustedError",
    "canonical_json",
    "count_pixels",
    "count_texts",
    "describe",
    "file_digest",
    "histogram",
    "load",
    "new_keys",
    "read_keys",
    "read_private_key",
    "read_signatures",
    "render_signatures",
    "seal",
]
