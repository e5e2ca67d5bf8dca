"""A folder of pictures: a folder per class, below ``train``, ``validation`` and ``test`` where the split is given."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.config import Data
from components.console import say
from components.dataset import SPLITS, Rows
from components.errors import DataError
from components.snapshot import FREE, MOST_EXAMPLES, Finding, Snapshot
from components.sources.decode import read_pictures
from modelpackage import Picture

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jfif", ".ppm", ".pgm"))
#: What people call the folders of a split.
HOMES = {"train": 0, "training": 0, "validation": 1, "valid": 1, "val": 1, "test": 2, "testing": 2}


def read(place: Path, data: Data, scratch: Path) -> Snapshot:
    """Decode every picture; those that can't be are set aside and listed.

    Args:
        place: The folder.
        data: The size and the colours that are wanted, and how many may be set aside.
        scratch: A folder for the pixels.

    Raises:
        DataError: No class folders, or too many pictures can't be decoded.
    """
    roots = class_roots(place)
    paths, labels, homes = [], [], []
    for root, home in roots:
        for folder in folders_of(root):
            for path in pictures_of(folder):
                paths.append(path)
                labels.append(folder.name)
                homes.append(home)
    names = sorted(set(labels))
    if len(names) < 2:  # noqa: PLR2004 (there is nothing to tell apart)
        raise DataError(
            f"{place} has pictures in {len(names)} class folders ({', '.join(names) or 'none'}), at least 2 are "
            f"needed: a folder per class, like {place.name}/cat/1.jpg"
        )
    picture = Picture(height=data.size[0], width=data.size[1], colour=data.colour)
    say(f"decoding {len(paths)} pictures in {len(names)} folders to {picture.height} x {picture.width}")
    target = scratch / "x.npy"
    results = read_pictures(paths, picture, target)
    kept = np.array([index for index, result in enumerate(results) if result.fault is None], dtype=np.int64)
    faults = [
        (paths[i].relative_to(place).as_posix(), result.fault) for i, result in enumerate(results) if result.fault
    ]
    found = _set_aside(place, faults, len(paths), data.set_aside)
    pixels = _compacted(target, kept)
    index = {name: number for number, name in enumerate(names)}
    rows = Rows(
        kind="image", labels=tuple(names), shape=picture.shape(), datatype="UINT8", minimum=0.0, maximum=255.0,
        picture=picture,
    )  # fmt: skip
    return Snapshot(
        rows=rows,
        arrays={"x": pixels},
        y=np.array([index[labels[row]] for row in kept], dtype=np.int64),
        digests=[results[row].digest for row in kept],
        home=np.array([homes[row] for row in kept], dtype=np.int8),
        found=(*found, *_others(roots)),
        read=len(paths),
    )


def class_roots(place: Path) -> list[tuple[Path, int]]:
    """Return the folders that hold class folders, each with its split."""
    folders = folders_of(place)
    if len(folders) > 1 and all(folder.name.lower() in HOMES and folders_of(folder) for folder in folders):
        homes = {folder: HOMES[folder.name.lower()] for folder in folders}
        # Without a validation folder, validation rows are dealt out of the training rows.
        dealt = SPLITS.index("validation") not in homes.values()
        return [(folder, FREE if dealt and home == 0 else home) for folder, home in homes.items()]
    return [(place, FREE)]


def folders_of(place: Path) -> list[Path]:
    """Return the folders in a folder, hidden ones left out."""
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def pictures_of(folder: Path) -> list[Path]:
    """Return the files below a folder that are pictures by their names."""
    return sorted(path for path in _files(folder) if path.suffix.lower() in SUFFIXES)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def _compacted(target: Path, kept: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Move the rows that are kept together on disk; an index would read them all into memory."""
    pixels: NDArray[np.uint8] = np.load(target, mmap_mode="r+", allow_pickle=False)
    for row, old in enumerate(kept.tolist()):
        if row != old:
            pixels[row] = pixels[old]
    return pixels[: len(kept)]


def _set_aside(place: Path, faults: Sequence[tuple[str, str | None]], read: int, largest_share: float) -> list[Finding]:
    if not faults:
        return []
    examples = tuple(f"{name}: {fault}" for name, fault in faults[:MOST_EXAMPLES])
    if len(faults) > read * largest_share:
        raise DataError(
            f"{len(faults)} of {read} pictures in {place} can't be decoded, data.set_aside={largest_share:g} allows "
            f"{int(read * largest_share)}; remove or repair them, the first is {examples[0]}"
        )
    text = f"{len(faults)} of {read} pictures can't be decoded and were set aside; remove or repair them"
    return [Finding(severity="warning", text=text, examples=examples)]


def _others(roots: Sequence[tuple[Path, int]]) -> list[Finding]:
    others = [path for root, _ in roots for path in _files(root) if path.suffix.lower() not in SUFFIXES]
    loose = [path for root, _ in roots for path in root.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES]
    empty = [folder.name for root, _ in roots for folder in folders_of(root) if not pictures_of(folder)]
    found = []
    if empty:
        text = f"{len(empty)} folders hold no pictures and are no classes; fill or remove them"
        found.append(Finding(severity="warning", text=text, examples=tuple(empty[:MOST_EXAMPLES])))
    for files, what in ((others, "are no pictures by their names"), (loose, "lie outside the class folders")):
        if files:
            examples = tuple(path.name for path in files[:MOST_EXAMPLES])
            found.append(
                Finding(severity="note", text=f"{len(files)} files {what} and were left out", examples=examples)
            )
    return found
