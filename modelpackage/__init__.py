"""The contract between training and serving: a sealed model package.

Training calls :func:`seal`, serving calls :func:`load`; nothing else passes between them. This package depends on numpy
and pydantic, imports nothing else of the project, and may be imported by everything. ``docs/model-package.md`` is the
format.
"""

from modelpackage.descriptor import Descriptor, File, Lineage
from modelpackage.digest import canonical_json, file_digest
from modelpackage.errors import (
    DescriptorError,
    FormatError,
    GoldenError,
    PackageChangedError,
    PackageError,
    PackageMissingError,
    PictureError,
    SignatureError,
)
from modelpackage.format import DESCRIPTOR, FORMAT, PARTS, SEAL
from modelpackage.golden import Golden
from modelpackage.load import Package, load
from modelpackage.picture import Picture
from modelpackage.reference import Histogram, Reference, Texts, count_texts, describe, histogram
from modelpackage.seal import seal
from modelpackage.signature import Signature, Tensor

__all__ = [
    "DESCRIPTOR",
    "FORMAT",
    "PARTS",
    "SEAL",
    "Descriptor",
    "DescriptorError",
    "File",
    "FormatError",
    "Golden",
    "GoldenError",
    "Histogram",
    "Lineage",
    "Package",
    "PackageChangedError",
    "PackageError",
    "PackageMissingError",
    "Picture",
    "PictureError",
    "Reference",
    "Signature",
    "SignatureError",
    "Tensor",
    "Texts",
    "canonical_json",
    "count_texts",
    "describe",
    "file_digest",
    "histogram",
    "load",
    "seal",
]
