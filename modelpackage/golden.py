"""Golden examples: some inputs as a client would send them and what the trained model answered."""

import io
import math
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpackage.errors import DescriptorError, GoldenError, SignatureError
from modelpackage.signature import NUMPY_TYPES, Signature

#: Runs a graph: input arrays by name in, output arrays by name out.
Run = Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]

#: The zip format notes the system that wrote a file; it shall be the same everywhere.
UNIX = 3

MEMBER = re.compile(r"(input|output):(.+)\.npy")
#: What numpy writes before an array: version 1.0, the length of the rest; then type, row-major order, dimensions.
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)(\{'descr': '([^']+)', 'fortran_order': False, "
    rb"'shape': \(([1-9]\d{0,9}(?:, [1-9]\d{0,9}){0,7}),?\), \} *\n)",
    re.DOTALL,
)
DTYPES = {
    np.dtype(kind).newbyteorder("<").str.encode(): np.dtype(kind)
    for kind in NUMPY_TYPES.values()
    if kind is not np.object_
}
#: Text: UTF-8 in as many bytes as the longest takes, filled with zeros.
TEXT = re.compile(rb"\|S([1-9]\d{0,3})")


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Recorded examples.

    Attributes:
        inputs: By tensor name, each of shape (rows, ...).
        outputs: By tensor name, each of shape (rows, ...).
    """

    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]

    def render(self) -> bytes:
        """Return the bytes of ``golden.npz``; equal examples give equal bytes."""
        arrays = {f"input:{name}": array for name, array in self.inputs.items()}
        arrays |= {f"output:{name}": array for name, array in self.outputs.items()}
        buffer = io.BytesIO()
        # Not numpy.savez: it asks for 64-bit records, which patch releases of Python write differently.
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, array in sorted(arrays.items()):
                member = zipfile.ZipInfo(f"{name}.npy")  # its date is 1980, whenever it is written
                member.create_system = UNIX
                archive.writestr(member, _npy(array))
        return buffer.getvalue()

    @classmethod
    def parse(cls, raw: bytes) -> "Golden":
        """Read the bytes of a ``golden.npz``.

        Raises:
            DescriptorError: It is not an archive of arrays by the name of inputs and outputs.
        """
        members: dict[str, dict[str, NDArray[Any]]] = {"input": {}, "output": {}}
        for key, npy in _members(raw).items():
            match = MEMBER.fullmatch(key)
            if match is None:
                raise DescriptorError(f"golden.npz holds {key[:99]!r}, expected input:NAME.npy or output:NAME.npy")
            members[match[1]][match[2]] = _array(key, npy)
        return cls(inputs=members["input"], outputs=members["output"])

    def match(self, signature: Signature) -> None:
        """Prove that these are examples of a signature: the same tensors, one number of rows, inputs a client may send.

        Raises:
            DescriptorError: They are not.
        """
        for role, arrays, tensors in (
            ("input", self.inputs, signature.inputs),
            ("output", self.outputs, signature.outputs),
        ):
            found = {name: (array.dtype, array.shape[1:]) for name, array in arrays.items()}
            named = {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors}
            if found != named:
                raise DescriptorError(f"golden.npz holds the {role}s {found}, the signature has {named}")
        counts = {array.shape[:1] for array in (*self.inputs.values(), *self.outputs.values())}
        if len(counts) != 1 or counts <= {(), (0,)}:
            raise DescriptorError("the arrays of golden.npz must have one number of rows, at least one")
        for tensor in signature.inputs:
            try:
                tensor.check(self.inputs[tensor.name])
            except SignatureError as error:
                raise DescriptorError(f"golden.npz: {error}") from None

    def check(self, run: Run, tolerance: float) -> None:
        """Prove that a loaded model is the one that was sealed.

        Args:
            run: The loaded model.
            tolerance: Largest absolute difference that counts as equal.

        Raises:
            GoldenError: An output is missing, has another type or shape, or differs by more than the tolerance.
        """
        found = run(self.inputs)
        for name, expected in self.outputs.items():
            got = found.get(name)
            if got is None or got.shape != expected.shape or got.dtype != expected.dtype:
                answer = "nothing" if got is None else _kind(got)
                raise GoldenError(f"output {name!r} is {answer}, sealed as {_kind(expected)}")
            difference = float(np.abs(got.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))
            # Written so that NaN, which compares false with everything, fails.
            if not difference <= tolerance:
                raise GoldenError(
                    f"output {name!r} differs from the sealed one by {difference:.3g}, allowed is {tolerance:.3g}; "
                    "this machine's runtime does not reproduce the model"
                )


def _kind(array: NDArray[Any]) -> str:
    return f"{array.dtype} of shape {list(array.shape)}"


def _npy(array: NDArray[Any]) -> bytes:
    if array.dtype == np.object_:
        encoded = [text.encode() for text in array.ravel().tolist()]
        array = np.array(encoded, dtype=f"S{max(1, *map(len, encoded))}").reshape(array.shape)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _members(raw: bytes) -> dict[str, bytes]:
    """Return the members of an archive by name; being stored, they take no more memory than the archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            listed = archive.infolist()
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in listed)
            fits = stored and sum(member.file_size for member in listed) <= len(raw)
            members = {member.filename: archive.read(member) for member in listed} if fits else {}
    # Offsets before the start and names that are no UTF-8 come out of zipfile as plain ValueErrors.
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, struct.error) as error:
        raise DescriptorError(f"golden.npz is not a readable archive: {error}") from None
    if len(members) != len(listed):
        raise DescriptorError("golden.npz must hold its members stored, not compressed, and each under its own name")
    return members


def _array(key: str, npy: bytes) -> NDArray[Any]:
    header = HEADER.match(npy)
    dtype = _dtype(header[3]) if header else None
    if header is None or dtype is None or struct.unpack("<H", header[1])[0] != len(header[2]):
        raise DescriptorError(f"golden.npz: {key} is not a row-major array of a v2 datatype in the .npy format 1.0")
    shape = tuple(int(size) for size in header[4].split(b","))
    values = npy[header.end() :]
    if len(values) != math.prod(shape) * dtype.itemsize:
        raise DescriptorError(f"golden.npz: {key} has {len(values)} bytes of values, its shape is {list(shape)}")
    array = np.frombuffer(values, dtype=dtype).reshape(shape)
    return _text(key, array) if dtype.kind == "S" else array


def _dtype(described: bytes) -> np.dtype[Any] | None:
    return np.dtype(described.decode()) if TEXT.fullmatch(described) else DTYPES.get(described)


def _text(key: str, array: NDArray[np.bytes_]) -> NDArray[np.object_]:
    """Return text as str objects; there is one way to write it."""
    encoded: list[bytes] = array.ravel().tolist()
    if max(1, *map(len, encoded)) != array.dtype.itemsize or any(b"\0" in text for text in encoded):
        raise DescriptorError(f"golden.npz: {key} does not hold text in as many bytes as the longest takes")
    try:
        return np.array([text.decode() for text in encoded], dtype=object).reshape(array.shape)
    except UnicodeDecodeError:
        raise DescriptorError(f"golden.npz: {key} holds bytes that are no UTF-8 text") from None
