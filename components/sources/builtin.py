"""The data sets that come with scikit-learn: nothing is downloaded."""

import numpy as np
from sklearn import datasets

from components.config import Data
from components.dataset import Rows
from components.errors import ConfigError
from components.snapshot import FREE, Snapshot, row_digests


def read(data: Data) -> Snapshot:
    """Read ``builtin://digits`` or ``builtin://iris``.

    Raises:
        ConfigError: There is no such data set.
    """
    name = data.source.removeprefix("builtin://")
    if name == "digits":
        bunch = datasets.load_digits()
        x = bunch.images.astype(np.float32)
        rows = Rows(kind="image", labels=_labels(bunch), shape=(8, 8), minimum=0.0, maximum=16.0)
        arrays = {"x": x}
    elif name == "iris":
        bunch = datasets.load_iris()
        x = bunch.data.astype(np.float32)
        fields = tuple(field.removesuffix(" (cm)").replace(" ", "_") + "_cm" for field in bunch.feature_names)
        rows = Rows(kind="tabular", labels=_labels(bunch), numbers=fields)
        arrays = {"numbers": x}
    else:
        raise ConfigError(f"data.source={data.source} is not known; choose builtin://digits or builtin://iris")
    y = bunch.target.astype(np.int64)
    home = np.full(len(y), FREE, dtype=np.int8)
    return Snapshot(rows=rows, arrays=arrays, y=y, digests=row_digests(x), home=home, read=len(y))


def _labels(bunch: "datasets._base.Bunch") -> tuple[str, ...]:
    return tuple(str(name) for name in bunch.target_names)
