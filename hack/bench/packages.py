"""The packages that are served, made by the project's own stages: packages.py W1|W2|W3 FOLDER.

W1 is configs/iris.yaml; W2 the network of configs/mnist.yaml on scikit-learn's digits enlarged to 28 x 28; W3 a
ResNet-18 for photographs of 224 x 224 in two classes. The networks learn for one epoch: weights do not change speed.
"""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
#: Of the picture that is sent; the quality at which it has 55 kB.
WIDTH, HEIGHT, QUALITY = 500, 375, 95
PICTURES_OF_A_CLASS = 20
NETWORK = {"epochs": 1, "warmup": 0}
PHOTOGRAPHS = (
    "name=resnet18", "data.size=224", "split={validation: 0.2, test: 0.2}", "gate.minimum=0",
    "train={model: resnet18, epochs: 1, batch_size: 8}",
)  # fmt: skip


def main(name: str, folder: Path) -> None:
    from components.config import read_config
    from components.ingest import ingest

    if name == "W1":
        config = read_config(ROOT / "configs" / "iris.yaml")
    elif name == "W2":
        digits = read_config(ROOT / "configs" / "digits.yaml")
        network = read_config(ROOT / "configs" / "mnist.yaml").train.model_copy(update=NETWORK)
        config = digits.model_copy(update={"name": "mnist-cnn", "train": network})
    else:
        photographs(folder / "pictures")
        source = f"data.source={folder / 'pictures'}"
        config = read_config(ROOT / "configs" / "cats-dogs.yaml", (*PHOTOGRAPHS, source))
    snapshot = ingest(config.data, folder / "scratch", folder / "cache")
    if name == "W2":
        snapshot = enlarged(snapshot)
    make(config, snapshot, folder)


def make(config: Any, snapshot: Any, folder: Path) -> None:
    from components.dataset import Splits
    from components.evaluate import evaluate
    from components.package import package
    from components.preprocess import preprocess
    from components.train import train

    preprocess(config, snapshot, folder / "splits")
    splits = Splits(folder / "splits")
    train(config, splits, folder / "model")
    evaluation = evaluate(config, splits, folder / "model", folder / "evaluation")
    package(config, splits, folder / "model", evaluation, folder / "package")


def enlarged(snapshot: Any) -> Any:
    """Return digits of 28 x 28 from digits of 8 x 8, bilinear, as floats."""
    from components.snapshot import row_digests

    small = [Image.fromarray(row) for row in snapshot.arrays["x"]]
    x = np.stack([np.asarray(row.resize((28, 28), Image.Resampling.BILINEAR)) for row in small])
    rows = snapshot.rows.model_copy(update={"shape": (28, 28)})
    return replace(snapshot, rows=rows, arrays={"x": x}, digests=row_digests(x))


def photographs(folder: Path) -> None:
    for number in range(2 * PICTURES_OF_A_CLASS):
        place = folder / ("dull" if number % 2 else "bright") / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(photograph(number))


def photograph(seed: int) -> bytes:
    """Return a JPEG with the detail of a photograph: clouds of every size, in three channels."""
    random = np.random.default_rng(seed)
    pixels: NDArray[np.float64] = np.zeros((HEIGHT, WIDTH, 3))
    for side in (4, 16, 64, 256):
        cloud = Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))
        pixels += np.asarray(cloud.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) * (2 / side**0.5)
    pixels *= (200 if seed % 2 else 255) / pixels.max()
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
