"""Many pictures from disk into one array file: on all cores, and in the same memory however many they are.

Many are resized by torch, within one grey level of what serving does; :class:`Picture` alone finds faults. Refuses
files that can't be read.
"""

import hashlib
import importlib.util
import os
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
from modelpackage.picture import MAX_BYTES

#: Fewer bytes of pictures than these are decoded by Pillow sooner than torch is imported.
MANY_BYTES = 256 * 1024 * 1024
#: Decoded rows that wait to be written are bounded in number and in bytes.
BLOCK = 512
BLOCK_BYTES = 64 * 1024 * 1024
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
    if not many or importlib.util.find_spec("torch") is None:
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
    """Decode by Pillow, which is as fast as any, and resize by torch, which takes a fifth of the time of Pillow's."""
    import torch
    from torch.nn.functional import interpolate

    size = (picture.height, picture.width)

    def decode(encoded: bytes) -> NDArray[np.uint8]:
        pixels = torch.from_numpy(picture.pixels(encoded))
        planes = pixels.unsqueeze(2) if picture.colour == "grey" else pixels
        # Channels last, which torch recognises by the strides of the batch dimension too, are resized fastest.
        batch = planes[None].permute(0, 3, 1, 2)
        resized = interpolate(batch, size, mode="bilinear", antialias=True, align_corners=False)[0]
        found: NDArray[np.uint8] = resized.permute(1, 2, 0).numpy().reshape(picture.shape())
        return found

    return decode
