"""What the peers share: the graph in ONNX Runtime with one thread, and pictures as every tutorial decodes them.

Takes graphs of one numeric input that answer probabilities. Imports nothing of ours: a peer may have an environment of
its own.
"""

import io
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
CHANNELS = 3


class Graph:
    """A graph, ready to run."""

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (known,) = self.session.get_inputs()
        self.name, self.shape, self.dtype = known.name, tuple(known.shape[1:]), TYPES[known.type]

    def run(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Answer rows of any shape with as many values; the answer has shape (rows, classes)."""
        feed = {self.name: np.asarray(rows, self.dtype).reshape(-1, *self.shape)}
        probabilities: NDArray[np.float32] = self.session.run(None, feed)[0]
        return probabilities

    def decode(self, encoded: bytes) -> NDArray[np.uint8]:
        """Return the pixels of an encoded picture in the size of the graph, which scales them itself."""
        mode = "RGB" if len(self.shape) == CHANNELS else "L"
        picture = Image.open(io.BytesIO(encoded)).convert(mode)
        return np.asarray(picture.resize((self.shape[1], self.shape[0]), Image.Resampling.BILINEAR))
