"""Many pictures from disk into one array file: on all cores, and in the same memory however many they are.

JPEGs as most photographs are take a fast path, within one grey level of what serving decodes. Everything else, and
everything that the fast path does not like, goes to :meth:`Picture.decode`, which alone finds faults. Refuses files
that can't be read.
"""

import hashlib
import importlib.util
import os
import re
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.console import say
from components.errors import DataError
from modelpackage import Picture, PictureError
from modelpackage.picture import MAX_BYTES, MAX_PIXELS

#: Fewer bytes of pictures than these are decoded by Pillow sooner than torch and torchvision are imported.
MANY_BYTES = 256 * 1024 * 1024
#: Decoded rows that wait to be written are bounded in number and in bytes.
BLOCK = 512
BLOCK_BYTES = 64 * 1024 * 1024
PIECE_BYTES = 1024 * 1024
SECONDS_BETWEEN_LINES = 5.0

#: JPEG: every marker begins with 0xFF; the frames that the fast path decodes (baseline, extended, progressive), with
#: as many bits; where the pixels begin; how a whole file begins and ends.
MARKER = 0xFF
FRAMES = (0xC0, 0xC1, 0xC2)
BITS = 8
SCAN = 0xDA
START, END = b"\xff\xd8\xff", b"\xff\xd9"
#: Unless an orientation (an EXIF entry of either byte order, or XMP's word) is 1, Pillow has to turn the picture.
MAY_BE_TURNED = re.compile(
    rb"\x01\x12\x00[\x01-\x0d](?!\x00\x00\x00\x01\x00\x01)"
    rb"|\x12\x01[\x01-\x0d]\x00(?!\x01\x00\x00\x00\x01\x00)"
    rb"|Orientation"
)
#: What torchvision's operator takes for one channel and for three.
MODES = {"grey": 1, "rgb": 3}

Decode = Callable[[bytes], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Read:
    """What became of a file.

    Attributes:
        digest: SHA-256 of its bytes.
        fault: Why it could not be decoded, or none.
    """

    digest: bytes
    fault: str | None


def read_pictures(paths: Sequence[Path], picture: Picture, target: Path) -> list[Read]:
    """Decode pictures into an array file.

    Args:
        paths: The files.
        picture: What they are brought to.
        target: ``.npy`` file to write: uint8 of shape (files, *picture.shape()); zeros where a file has a fault.

    Returns:
        What became of each file, in their order.

    Raises:
        DataError: A file can't be read.
    """
    shape = picture.shape()
    cores = len(os.sched_getaffinity(0))
    block = min(BLOCK, max(2 * cores, BLOCK_BYTES // int(np.prod(shape))))
    results: list[Read] = []
    told = time.monotonic()
    with (
        target.open("wb") as file,
        _decoder(picture, paths) as decode,
        ThreadPoolExecutor(cores) as pool,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(paths), block):
            for read, row in pool.map(lambda path: _read(path, decode), paths[start : start + block]):
                # A full disk is an error of write; of a memory-mapped file it would be the end of the process.
                file.write(bytes(np.prod(shape)) if row is None else np.ascontiguousarray(row).data)
                results.append(read)
                if time.monotonic() - told > SECONDS_BETWEEN_LINES:
                    told = time.monotonic()
                    say(f"decoded {len(results)} of {len(paths)} pictures")
    return results


def _read(path: Path, decode: Decode) -> tuple[Read, NDArray[np.uint8] | None]:
    try:
        with path.open("rb", buffering=0) as file:
            # One byte more than is allowed is enough for the refusal.
            encoded = file.read(MAX_BYTES + 1)
            digest = hashlib.sha256(encoded)
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}; make it readable or remove it") from error
    try:
        return Read(digest.digest(), None), decode(encoded)
    except PictureError as error:
        return Read(digest.digest(), str(error)), None


@contextmanager
def _decoder(picture: Picture, paths: Sequence[Path]) -> Iterator[Decode]:
    """Give the function that has decoded these pictures soonest."""
    many = sum(path.stat().st_size for path in paths if path.is_file()) >= MANY_BYTES
    if not many or any(importlib.util.find_spec(name) is None for name in ("torch", "torchvision")):
        yield picture.decode
        return
    import torch

    before = torch.get_num_threads()
    # The files are spread over the cores; one file on several would only wait for itself.
    torch.set_num_threads(1)
    try:
        yield _fast(picture)
    finally:
        torch.set_num_threads(before)


def _fast(picture: Picture) -> Decode:
    import torch
    import torchvision.io  # noqa: F401 (it registers the operator)
    from torch.nn.functional import interpolate

    size = (picture.height, picture.width)
    # The function of torchvision.io around it warns at every call that it will move to another library.
    operator = getattr(torch.ops.image, "decode_jpeg", None)
    if operator is None:
        return picture.decode

    def decode(encoded: bytes) -> NDArray[np.uint8]:
        if not _plain(encoded, picture):
            return picture.decode(encoded)
        try:
            pixels = operator(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), MODES[picture.colour])
        except RuntimeError:
            return picture.decode(encoded)
        # Channels last, which torch recognises by the strides of the batch dimension too, are resized fastest.
        batch = pixels.permute(1, 2, 0)[None].permute(0, 3, 1, 2)
        resized = interpolate(batch, size, mode="bilinear", antialias=True, align_corners=False)[0]
        found: NDArray[np.uint8] = resized.permute(1, 2, 0).numpy().reshape(picture.shape())
        return found

    return decode


def _plain(encoded: bytes, picture: Picture) -> bool:
    """Whether a file is a whole upright JPEG of a usual kind that both libraries decode alike."""
    if not (encoded.startswith(START) and encoded.endswith(END) and len(encoded) <= MAX_BYTES):
        return False
    at, known = 2, False
    while at + 10 <= len(encoded) and encoded[at] == MARKER:
        marker, length = encoded[at + 1], int.from_bytes(encoded[at + 2 : at + 4])
        if marker == SCAN:
            return known and MAY_BE_TURNED.search(encoded, 0, at) is None
        if marker in FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", encoded, at + 4)
            # What is grey of a colour JPEG, Pillow takes from its colours and libjpeg from its luminance.
            usual = bits == BITS and channels in ((1,) if picture.colour == "grey" else (1, 3))
            known = usual and 0 < height * width <= MAX_PIXELS
        at += 2 + length
    return False
