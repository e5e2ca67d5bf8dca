"""Small trainings of made pictures, and steps in processes of their own, which a test may end as it likes."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from components import provenance
from components.config import Config
from components.dataset import Rows, Scaling, Splits, save_arrays
from modelpackage import canonical_json

ROOT = Path(__file__).parents[2]
STEP = "import json, sys; from components import steps; steps.train(*json.loads(sys.argv[1]))"
#: Looks at most until what is waited for has to be there, and seconds between two.
LOOKS, PAUSE = 60_000, 0.005


def pictures(directory: Path, shape: tuple[int, ...] = (12, 12), dtype: str = "UINT8", rows: int = 96) -> Splits:
    """Write splits of pictures whose class is how bright their upper half is."""
    random = np.random.default_rng(0)
    low, high = 0.0, 255.0 if dtype == "UINT8" else 16.0
    directory.mkdir(exist_ok=True)
    Rows(kind="image", labels=("dark", "light"), shape=shape, datatype=dtype, minimum=low, maximum=high).save(directory)
    for split, count in (("train", rows), ("validation", 32), ("test", 32)):
        y = np.arange(count) % 2
        x = random.random((count, *shape)) * high / 2
        x[:, : shape[0] // 2] += high / 2 * y.reshape(-1, *[1] * len(shape))
        save_arrays(directory / split, x=x.astype(np.uint8 if dtype == "UINT8" else np.float32), y=y)
    channels = shape[2] if len(shape) == 3 else 1
    scaling = Scaling(mean=(high / 2,) * channels, factor=(4 / high,) * channels)
    (directory / "preprocessing.json").write_bytes(canonical_json(scaling.model_dump(mode="json")))
    return Splits(directory)


def configured(**train: Any) -> Config:
    """Return the configuration of a small network; a checkpoint is due at every step."""
    settings = {"model": "mnist_cnn", "device": "cpu", "threads": 1, "checkpoint_seconds": 1e-6, **train}
    data, gate = {"source": "builtin://digits"}, {"minimum": 0}
    return Config.build({"name": "made", "data": data, "train": settings, "gate": gate})


@dataclass
class Step:
    """The step that trains, in a process of its own.

    Args:
        config: The run.
        splits: Its data.
        place: A folder for what it writes.
        store: URI of the store of checkpoints; none lets it lie in the folder.
    """

    config: Config
    splits: Splits
    place: Path
    store: str | None = None
    process: "subprocess.Popen[bytes]" = field(init=False)

    def __post_init__(self) -> None:
        """Know the places."""
        self.place.mkdir(exist_ok=True)
        self.fingerprint = provenance.fingerprint(self.splits.rows.digest, [self.config.train.model])
        self.key = provenance.run_key(self.config, self.fingerprint)
        self.store = self.store or (self.place / "checkpoints").as_uri()
        self.kept = self.place / "checkpoints" / self.config.name / self.key
        self.model, self.log = self.place / "model", self.place / "log"

    @property
    def arguments(self) -> list[Any]:
        """What the step is called with."""
        return [self.config.plain(), self.fingerprint, str(self.splits.directory), str(self.model)]

    def start(self) -> "Step":
        """Start it; what it says goes into a file of its own."""
        environment = {**os.environ, "SLIPWAY_CHECKPOINTS": str(self.store)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", STEP, json.dumps(self.arguments)],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def checkpoints(self) -> list[str]:
        """Return the names of the checkpoints that lie there, the oldest first."""
        return sorted(path.name for path in self.kept.rglob("*.safetensors"))

    def wait_for_checkpoint(self) -> None:
        """Wait until there is one that was not there."""
        before = set(self.checkpoints())
        wait_for(lambda: set(self.checkpoints()) - before or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()

    def said(self) -> str:
        """Return what it said so far."""
        return self.log.read_text(errors="replace")

    def lines(self) -> list[str]:
        """Return what it said as a step."""
        return [line for line in self.said().splitlines() if line.startswith("[slipway]")]

    def end(self, number: int | None = None) -> int:
        """Send it a signal, or none, and return its exit code."""
        if number is not None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=LOOKS * PAUSE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def graph(self) -> bytes:
        """Return the model that it wrote."""
        return (self.model / "graph.onnx").read_bytes()


def below(pid: int) -> list[int]:
    """Return the processes that a process started, and those that they did."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for child in children for found in (int(child), *below(int(child)))]


def lives(pid: int) -> bool:
    """Tell whether a process runs; one that ended and that nobody asked about doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def wait_for(condition: Any) -> None:
    """Wait for a condition."""
    for _ in range(LOOKS):
        if condition():
            return
        time.sleep(PAUSE)
    raise AssertionError("what was waited for did not come")
