"""The limit of every server on one thread: in_process.py GRAPH SECONDS [PICTURE]. Prints rows per second by batch size.

With a picture, each row is decoded from it first.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from graph import Graph

BATCHES = {"1": 1, "8": 8}


def rate(graph: Graph, batch: int, seconds: float, encoded: bytes | None) -> float:
    """Return rows per second."""
    values = np.random.default_rng(0).integers(0, 16, (batch, *graph.shape))
    rows = values.astype(graph.dtype)
    graph.run(rows)
    count, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        if encoded:
            rows = np.stack([graph.decode(encoded) for _ in range(batch)])
        graph.run(rows)
        count += batch
    return count / passed


if __name__ == "__main__":
    opened, sent = Graph(sys.argv[1]), Path(sys.argv[3]).read_bytes() if len(sys.argv) > 3 else None
    print(json.dumps({name: rate(opened, batch, float(sys.argv[2]), sent) for name, batch in BATCHES.items()}))
