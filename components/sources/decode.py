"""Many pictures from disk into one array file: on all cores, and in the same memory however many they are.

Many are resized by torch, within one level of what serving does; :class:`Picture` alone finds faults. Refuses
files that can't be read.
"""

import hashlib
import importlib.util
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.console import say
from components.errors import DataError
from modelpackage import Picture, PictureError
from modelpackage.picture import MAX_BYTES, MAX_PIXELS, ORIENTATION

#: Fewer bytes of pictures than these are decoded by Pillow sooner than torch is imported.
MANY_BYTES = 256 * 1024 * 1024
#: Files a thread takes at once.
CHUNK = 8
END_OF_JPEG = b"\xff\xd9"
MODES = {"rgb": "RGB", "grey": "L"}
#: torchvision's numbers of what a JPEG is decoded to.
CHANNELS = {"RGB": 3, "L": 1}
PIECE_BYTES = 1024 * 1024
SECONDS_BETWEEN_LINES = 5.0

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
    results: list[Read] = []
    told = time.monotonic()
    with (
        target.open("wb") as file,
        _decoder(picture, paths) as decode,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), *picture.shape())}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        rows = _Rows(file.fileno(), file.tell(), int(np.prod(picture.shape())))
        starts = range(0, len(paths), CHUNK)
        for reads in pool.map(lambda start: _chunk(paths, start, decode, rows), starts):
            results += reads
            if time.monotonic() - told > SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                say(f"decoded {len(results)} of {len(paths)} pictures")
    return results


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where in a file rows of so many bytes lie, which any thread may write in any order."""

    descriptor: int
    start: int
    size: int

    def write(self, index: int, row: NDArray[np.uint8] | None) -> None:
        # A full disk is an error of write; of a memory-mapped file it would be the end of the process.
        rest = memoryview(bytes(self.size) if row is None else np.ascontiguousarray(row).tobytes())
        while rest:
            at = self.start + (index + 1) * self.size - len(rest)
            rest = rest[os.pwrite(self.descriptor, rest, at) :]


def _chunk(paths: Sequence[Path], start: int, decode: Decode, rows: _Rows) -> list[Read]:
    reads = []
    for index, path in enumerate(paths[start : start + CHUNK], start):
        read, row = _read(path, decode)
        rows.write(index, row)
        reads.append(read)
    return reads


def _read(path: Path, decode: Decode) -> tuple[Read, NDArray[np.uint8] | None]:
    try:
        with path.open("rb", buffering=0) as file:
            # One byte more than is allowed is enough for the refusal.
            encoded = file.read(min(os.fstat(file.fileno()).st_size, MAX_BYTES + 1))
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
    """Resize by torch, in a fifth of Pillow's time, and let plain JPEGs be decoded right into its memory."""
    import torch
    import torchvision.io  # noqa: F401 (it registers the operator)
    from torch.nn.functional import interpolate

    size, mode = (picture.height, picture.width), MODES[picture.colour]
    # The function of torchvision.io around it warns at every call that it will move to another library.
    operator = getattr(torch.ops.image, "decode_jpeg", None)

    def decode(encoded: bytes) -> NDArray[np.uint8]:
        pixels = None
        if operator and _plain(encoded, mode):
            # Damage that is behind the head is for Pillow to judge.
            with suppress(RuntimeError):
                pixels = operator(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), CHANNELS[mode])
        if pixels is None:
            pixels = torch.from_numpy(np.atleast_3d(picture.pixels(encoded))).permute(2, 0, 1)
        # Channels last, which torch recognises by the strides of the batch dimension too, are resized fastest.
        batch = pixels.permute(1, 2, 0)[None].permute(0, 3, 1, 2)
        resized = interpolate(batch, size, mode="bilinear", antialias=True, align_corners=False)[0]
        found: NDArray[np.uint8] = resized.permute(1, 2, 0).numpy().reshape(picture.shape())
        return found

    return decode


def _plain(encoded: bytes, mode: str) -> bool:
    """Whether a file is a whole, upright JPEG in the wanted colours, so that all that Pillow would do is decode it."""
    if not encoded.endswith(END_OF_JPEG) or len(encoded) > MAX_BYTES:
        return False
    try:
        with Image.open(io.BytesIO(encoded), formats=("JPEG",)) as image:
            small = image.width * image.height <= MAX_PIXELS
            return small and image.mode == mode and image.getexif().get(ORIENTATION, 1) == 1
    except Exception:  # noqa: BLE001 (Pillow raises nearly anything on damaged input; the other path says what is wrong)
        return False
