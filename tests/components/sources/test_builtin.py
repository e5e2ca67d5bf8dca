"""The data sets that need no download."""

import numpy as np
import pytest

from components.config import Data
from components.errors import ConfigError
from components.sources.builtin import read


def test_digits_are_all_there():
    snapshot = read(Data(source="builtin://digits"))
    x = snapshot.arrays["x"]
    assert (x.shape, x.dtype, len(snapshot)) == ((1797, 8, 8), np.float32, 1797)
    assert (x.min(), x.max()) == (0, 16)
    assert np.bincount(snapshot.y).min() > 170


def test_iris_is_a_table_of_four_numbers():
    rows = read(Data(source="builtin://iris")).rows
    assert rows.numbers == ("sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm")
    assert rows.labels == ("setosa", "versicolor", "virginica")
    (tensor,) = rows.tensors()
    assert (tensor.name, tensor.shape) == ("numbers", (4,))


def test_an_unknown_data_set_is_named_with_those_that_exist():
    with pytest.raises(ConfigError, match="builtin://nothing is not known; choose builtin://digits or builtin://iris"):
        read(Data(source="builtin://nothing"))
