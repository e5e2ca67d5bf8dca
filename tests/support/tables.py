"""Tables of numbers as splits on disk, and how far a trained model and its graph are apart on any rows."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from components.dataset import SPLITS, Rows, Splits, save_arrays
from components.encoding import Encoding, Number
from components.models import Trained
from modelpackage import canonical_json


def write_table(directory: Path, x: NDArray[np.float32], y: NDArray[np.int64], classes: int) -> Splits:
    """Deal rows out in turn, with a preprocessing that changes no value, so that a test rules what a learner sees."""
    names = tuple(f"column_{index}" for index in range(x.shape[1]))
    directory.mkdir(parents=True)
    labels = tuple(f"class_{index}" for index in range(classes))
    Rows(kind="tabular", labels=labels, numbers=names).save(directory)
    (directory / "values.json").write_bytes(b"[]")
    as_is = Encoding(numbers=tuple(Number(name=name, fill=0, mean=0, factor=1) for name in names))
    (directory / "preprocessing.json").write_bytes(canonical_json(as_is.model_dump(mode="json")))
    for number, split in enumerate(SPLITS):
        save_arrays(directory / split, numbers=x[number::3], y=y[number::3])
    return Splits(directory)


def wild_table(rows: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return columns of common, huge, tiny, repeated and neighbouring values, and targets that depend on them."""
    random = np.random.default_rng(11)
    common, huge, tiny, offset = random.normal(size=(4, rows))
    repeated = random.integers(0, 4, rows)
    # Neighbours in float32, so that the middle of two is none of them.
    neighbours = 1 + random.integers(0, 40, rows) * 2.0**-23
    columns = [common, huge * 1e33, tiny * 1e-37, repeated, neighbours, 1e6 + offset]
    score = common + huge + tiny + repeated + (neighbours - 1) * 2.0**18 + offset
    y = np.searchsorted(np.quantile(score, np.arange(1, classes) / classes), score)
    return np.stack(columns, axis=1).astype(np.float32), y.astype(np.int64)


def apart(trained: Trained, x: NDArray[np.float32]) -> float:
    """Return the largest distance between the probabilities of a model and of its graph."""
    session = onnxruntime.InferenceSession(trained.graph, providers=["CPUExecutionProvider"])
    (answers,) = session.run(["probabilities"], {"numbers": x})
    return float(np.abs(answers - trained.predict({"numbers": x})).max())
