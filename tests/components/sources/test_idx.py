"""The idx files of MNIST, plain or gzipped, keep their own test rows."""

import gzip
import struct

import numpy as np
import pytest

from components.errors import DataError
from components.snapshot import FREE
from components.sources.idx import read


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for part, rows in (("train", 30), ("t10k", 10)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(random.integers(0, 256, (rows, 5, 4))))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(rows) % 3))
    return tmp_path


def test_the_rows_and_their_split_are_those_of_the_files(folder):
    snapshot = read(folder)
    assert snapshot.arrays["x"].shape == (40, 5, 4)
    assert (snapshot.rows.datatype, snapshot.rows.labels) == ("UINT8", ("0", "1", "2"))
    assert (snapshot.home == FREE).sum() == 30
    assert (snapshot.home == 2).sum() == 10


def test_gzipped_files_in_a_deeper_folder_are_the_same(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("zipped") / "MNIST" / "raw"
    other.mkdir(parents=True)
    for path in folder.iterdir():
        (other / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read(other.parents[1]).digest() == read(folder).digest()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("train-images-idx3-ubyte", None, "holds no train-images-idx3-ubyte"),
        ("train-images-idx3-ubyte", b"nothing", "is not an idx file"),
        ("train-images-idx3-ubyte", b"", "is not an idx file"),
        ("t10k-labels-idx1-ubyte", idx(np.arange(9)), "t10k has pictures of shape"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((10, 4, 4))), "all pictures one size"),
        ("t10k-labels-idx1-ubyte", idx(np.arange(10))[:-1], "holds 9 values, its header says"),
        ("t10k-labels-idx1-ubyte", gzip.compress(idx(np.arange(10)), mtime=0)[:-9], "is a damaged gzip file"),
    ],
)
def test_what_is_damaged_is_named(folder, name, content, told):
    path = folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        read(folder)
