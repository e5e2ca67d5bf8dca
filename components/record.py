"""The record of a run: a folder that tells all there is to tell of it, kept in the store beside the packages.

``runs/RUN/run.json`` is written last, so a record is whole or not there. MLflow is filled from it, at once or later.
"""

import json
import os
import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from components.champion import Comparison
from components.config import Config
from components.cost import Cost, Prices, Took, account, cost
from components.evaluate import Evaluation
from components.store import Store
from components.sweep import TRIALS
from components.train import PACE, TOOK, TRAINING, USAGE
from modelpackage import Package, canonical_json
from modelpackage.format import CARD

NOTE = "run.json"


class Note(BaseModel):
    """What identifies a run and what came of it.

    Attributes:
        run: The pipeline run's name; unique for a model name.
        name: The model's.
        gate: Whether the model may be published.
        reason: What that rests on, in one sentence.
        comparison: How the model compares with the champion.
        finished: When, in UTC.
        host: Where the record was made.
        image: Of the step, where a container ran it.
        parameters: Every setting by its dotted name.
        metrics: On test rows, by name.
        package: Digest of the package; none of a refused model.
        uri: The package's folder in the store, ending in a slash; none of a refused model.
        data: Digest of the data.
        code: Digest of the code.
        rows: Test rows and the like, by split.
        signature: As in the package.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    name: str
    gate: Literal["passed", "refused"]
    reason: str
    comparison: Comparison | None
    finished: str
    host: str
    image: str
    parameters: dict[str, str]
    metrics: dict[str, float]
    package: str | None = None
    uri: str | None = None
    data: str | None = None
    code: str | None = None
    rows: dict[str, int] = {}
    signature: dict[str, Any] | None = None

    def tags(self) -> dict[str, str]:
        """Return what a search in MLflow should find."""
        found = {
            "gate": self.gate,
            "digest": self.package,
            "storage_uri": self.uri,
            "data": self.data,
            "code": self.code,
        }
        if self.comparison:
            found["comparison"] = self.comparison.verdict
        return {name: value for name, value in found.items() if value}


class Record:
    """The folder of a record.

    Args:
        folder: Holds ``run.json`` and what evaluation and training left.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def gather(
        cls,
        config: Config,
        run: str,
        package: Package | None,
        uri: str | None,
        evaluation: Path,
        model: Path,
        folder: Path,
    ) -> Self:
        """Lay a record out in an empty folder.

        Args:
            config: The run's configuration.
            run: The pipeline run's name.
            package: The sealed package; none where the model was refused.
            uri: The package's folder in the store.
            evaluation: What evaluation wrote.
            model: What training wrote.
            folder: Exists, empty.
        """
        shutil.copytree(evaluation, folder, dirs_exist_ok=True)
        for name in (TRAINING, TRIALS, USAGE, PACE, TOOK):
            if (model / name).exists():
                shutil.copyfile(model / name, folder / name)
        measured = Evaluation.open(evaluation)
        descriptor = package.descriptor if package else None
        note = Note(
            run=run,
            name=config.name,
            gate=measured.verdict,
            reason=measured.reason,
            comparison=measured.comparison,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            host=platform.node(),
            image=os.environ.get("SLIPWAY_IMAGE", ""),
            parameters=config.flat(),
            metrics=measured.metrics,
            package=package.digest if package else None,
            uri=uri,
            data=descriptor.lineage.data if descriptor else None,
            code=descriptor.lineage.code if descriptor else None,
            rows={"test": int(measured.metrics["test_rows"])},
            signature=descriptor.signature.model_dump(mode="json") if descriptor else None,
        )
        (folder / NOTE).write_bytes(canonical_json(note.model_dump(mode="json")))
        record = cls(folder)
        if package:
            (folder / CARD).write_text(record.card((package.path / CARD).read_text(encoding="utf-8")), encoding="utf-8")
        return record

    @classmethod
    def bring(cls, store: Store, name: str, run: str, folder: Path) -> Self:
        """Read a record from the store into a folder.

        Raises:
            StoreError: It is not there, or the store can't be read.
        """
        prefix = f"{name}/runs/{run}/"
        for key in sorted(store.keys(prefix), key=lambda key: key == prefix + NOTE):
            path = folder / key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            store.get(key, path)
        return cls(folder)

    def keep(self, store: Store) -> None:
        """Write the record into the store, the note last."""
        prefix = f"{self.note.name}/runs/{self.note.run}/"
        names = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()]
        for name in sorted(names, key=lambda name: (name == NOTE, name)):
            store.put(prefix + name, self.folder / name)

    @cached_property
    def note(self) -> Note:
        """What identifies the run."""
        return Note.model_validate_json((self.folder / NOTE).read_bytes())

    @property
    def history(self) -> list[dict[str, float]]:
        """One entry per epoch, each with ``epoch``."""
        history: list[dict[str, float]] = self._read(TRAINING, {"history": []})["history"]
        return history

    @property
    def trials(self) -> list[Mapping[str, Any]]:
        """The trials of a sweep: settings, validation figures, and whether it was chosen."""
        return list(self._read(TRIALS, []))

    @property
    def usage(self) -> list[Mapping[str, float]]:
        """What training took of the machine: ``seconds``, ``cpu_percent``, ``memory_mb``, and the same of GPUs."""
        return list(self._read(USAGE, []))

    @property
    def pace(self) -> list[Mapping[str, float]]:
        """Samples of the training loop: ``step``, ``seconds`` and what was measured then."""
        return list(self._read(PACE, []))

    @property
    def took(self) -> Took | None:
        """What training took; None in a record of an earlier version."""
        return Took.read(self.folder / TOOK)

    @property
    def cost(self) -> Cost | None:
        """What training cost; None where it left no account, or nothing was priced."""
        told = self.note.parameters.items()
        prices = {name.removeprefix("prices."): value for name, value in told if name.startswith("prices.")}
        return cost(self.took, Prices.model_validate(prices)) if self.took else None

    def card(self, sealed: str) -> str:
        """Return the model card with what training took, which the sealed one can't tell: it knows no time.

        Args:
            sealed: The package's card.
        """
        if self.took is None:
            return sealed
        lines = [f"- {name}: {value}" for name, value in account(self.took, self.cost, self.pace).items()]
        return "\n".join([sealed.rstrip(), "", "## What training took", "", *lines, ""])

    def _read(self, name: str, default: Any) -> Any:
        path = self.folder / name
        return json.loads(path.read_bytes()) if path.exists() else default


def runs(store: Store, name: str | None = None) -> list[tuple[str, str]]:
    """Return (model name, run) of every whole record in a store."""
    prefix = f"{name}/runs/" if name else ""
    parts = [key.split("/") for key in store.keys(prefix) if key.endswith(f"/{NOTE}")]
    return [(part[0], part[2]) for part in parts if len(part) == 4 and part[1] == "runs"]  # noqa: PLR2004 (name/runs/run/note)
