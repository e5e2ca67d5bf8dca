"""What the machines of a training hand to each other: a folder of the object store.

splits/...  job.json     from the step to the machines; ``job.json`` is last, and says that the splits are whole
model/...   done.json    from the machine of rank 0 to the step; ``done.json`` is last

``components/checkpoints.py`` removes it all.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import provenance
from components.config import Config
from components.console import say
from components.dataset import Splits
from components.errors import TrainingError
from components.store import open_store
from modelpackage import canonical_json

JOB, DONE = "job.json", "done.json"
SPLITS, MODEL = "splits", "model"


@dataclass(frozen=True)
class Work:
    """What a machine has to do.

    Attributes:
        config: One model's.
        fingerprint: As ``prepare`` returned it.
        splits: Directory.
    """

    config: Config
    fingerprint: str
    splits: Path


class Folder:
    """The folder of one training.

    Args:
        uri: Of the folder, in a store.
    """

    def __init__(self, uri: str) -> None:
        self._store = open_store(uri)
        self.uri = uri

    def done(self) -> bool:
        """Tell whether the model is there."""
        return self._store.exists(DONE)

    def hand_over(self, config: Config, fingerprint: str, splits: Path) -> None:
        """Upload the splits and what to do with them, unless an earlier try did."""
        if self._store.exists(JOB):
            return
        self._upload(SPLITS, splits)
        image = _image(config, splits)
        self._write(JOB, {"config": config.plain(), "fingerprint": fingerprint, "image": image})
        say(f"handed the data over to {self.uri}")

    def take(self, scratch: Path) -> Work:
        """Fetch the work.

        Args:
            scratch: Directory to write to.

        Raises:
            TrainingError: This machine's image is not that of the step.
        """
        self._store.get(JOB, scratch / JOB)
        told = json.loads((scratch / JOB).read_text(encoding="utf-8"))
        config, splits = Config.build(told["config"]), scratch / SPLITS
        self._download(SPLITS, splits)
        if told["image"] != _image(config, splits):
            raise TrainingError(
                "the image of TrainingRuntime slipway has other code or libraries than the step that trains; give both "
                "the same image"
            )
        return Work(config, told["fingerprint"], splits)

    def hand_back(self, model: Path) -> None:
        """Upload what training left."""
        self._upload(MODEL, model)
        self._write(DONE, {})

    def collect(self, model: Path) -> None:
        """Fetch what training left; it stays, until the model is sealed, for a step that is lost right after."""
        self._download(MODEL, model)

    def _upload(self, name: str, directory: Path) -> None:
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            self._store.put(f"{name}/{path.relative_to(directory).as_posix()}", path)

    def _download(self, name: str, directory: Path) -> None:
        for key in self._store.keys(f"{name}/"):
            path = directory / key.removeprefix(f"{name}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._store.get(key, path)

    def _write(self, key: str, content: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "content"
            path.write_bytes(canonical_json(content))
            self._store.put(key, path)


def _image(config: Config, splits: Path) -> str:
    """Return the fingerprint of this place for this model alone; a sweep's covers the models of all its trials."""
    return provenance.fingerprint(Splits(splits).rows.digest, [config.train.model])
