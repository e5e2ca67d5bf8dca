"""What data looks like, and the settings that follow from it, each with its reason.

It looks at all columns of a table and at the headers of some pictures. It refuses what no run could learn from.
``components/draft/`` alone imports it, and makes a configuration of it.
"""

import difflib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any, Literal, Self

import pyarrow.compute as pc

from components.config import Data
from components.encoding import MOST_VALUES
from components.errors import ConfigError, DataError
from components.ingest import guess
from components.models import find
from components.sources.columns import Column, read_columns
from components.validate import FEWEST_CLASSES, FEWEST_ROWS_OF_AN_IDENTIFIER

SIZES = (28, 32, 64, 96, 128, 160, 224)
MOST_SAMPLED = 200
GREYS = frozenset(("1", "L", "LA", "I", "I;16", "F"))
#: Rows from which boosting is ahead of a forest, sides that mnist_cnn is made for, pictures beyond which depth pays.
BOOSTED_ROWS, SMALL_SIDE, MANY_PICTURES = 1000, 32, 5000
#: Training sees about so many pictures, each as often as there are epochs, but in no fewer epochs than this.
PICTURES_SEEN, FEWEST_EPOCHS = 300_000, 5
TORCH = "it needs torch: make setup-torch"
#: Characters on average beyond which text is prose.
LONG_TEXT = 60
USUAL_LABELS = frozenset(
    ("label", "labels", "target", "class", "y", "outcome", "churn", "churned", "species", "survived")
)
MOST_OFFERED = 8


@dataclass(frozen=True)
class Setting:
    """One setting and its reason; ``value`` may be a list whose items have reasons of their own."""

    name: str
    value: str | int | float | Mapping[str, str]
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """What was found and decided.

    Attributes:
        found: What the data is, in a few words.
        classes: How many rows each class has, the commonest first.
        data: Settings of ``data``, the source excluded.
        train: Settings of ``train``, the weights of classes excluded.
        columns: The columns of a table that are learned from.
    """

    found: str
    classes: Mapping[str, int]
    data: Sequence[Setting]
    train: Sequence[Setting]
    columns: Sequence["Profile"] = ()


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a column holds.

    Attributes:
        name: Of the column.
        kind: What its values look like.
        distinct: Different values.
        present: Rows with a value.
        missing: Rows without one.
        whole: Whether all values are whole numbers.
        length: Characters of a value, on average.
    """

    name: str
    kind: Literal["number", "category"]
    distinct: int
    present: int
    missing: int
    whole: bool
    length: float

    @classmethod
    def of(cls, column: Column) -> Self:
        """Look at a column."""
        values = column.text.drop_null()
        return cls(
            name=column.name,
            kind=column.kind(),
            distinct=len(values.unique()),
            present=len(values),
            missing=len(column) - len(values),
            whole=bool(pc.all(pc.match_substring_regex(values, r"^[+-]?[0-9]+$")).as_py()),
            length=pc.mean(pc.utf8_length(values)).as_py() or 0.0,
        )

    def useless(self) -> str | None:
        """Return why nothing can be learned from the column, or none."""
        many = self.present > FEWEST_ROWS_OF_AN_IDENTIFIER
        if self.distinct == 0 or (self.distinct == 1 and not self.missing):
            return f"{'one single' if self.distinct else 'no'} value in {self.present + self.missing:,} rows"
        if self.kind == "category" and self.length > LONG_TEXT and self.distinct > min(MOST_VALUES, self.present / 2):
            return f"free text: {self.length:.0f} characters on average, {self.distinct:,} different values"
        if self.distinct == self.present and (self.kind == "category" or (self.whole and many)):
            return f"looks like an identifier: {self.present:,} values, all different"
        if self.kind == "category" and many and self.distinct > self.present / 2:
            return f"hardly a value twice: {self.distinct:,} different ones"
        return None

    def has_classes(self) -> bool:
        """Tell whether the values can be classes: more than one, and not a number to predict."""
        from components.sources.table import FEWEST_ROWS_PER_CLASS, MOST_CLASSES

        few = self.distinct <= MOST_CLASSES or self.distinct * FEWEST_ROWS_PER_CLASS <= self.present
        return few and self.distinct >= FEWEST_CLASSES


def sketch(place: Path, label: str | None) -> Sketch:
    """Look at data on this machine.

    Args:
        place: A table, a folder of pictures per class, or the folder of the idx files.
        label: Tables: the column that is learned.

    Raises:
        ConfigError: A label is given for pictures.
        DataError: The data can't be used, or the label of a table is missing or no column with classes.
    """
    kind = guess(place)
    if kind in ("csv", "parquet"):
        return _table(place, label)
    if label is not None:
        raise ConfigError(f"--label {label} is for tables, the pictures in {place} tell their classes; leave it out")
    return _idx(place) if kind == "idx" else _pictures(place)


def _table(place: Path, label: str | None) -> Sketch:
    columns = {column.name: column for column in read_columns(place)}
    profiles = {name: Profile.of(column) for name, column in columns.items()}
    if label not in profiles:
        raise DataError(_which_label(place, label, profiles))
    target = profiles.pop(label)
    if not target.has_classes():
        raise DataError(
            f"--label {label} has {target.distinct} different values in {target.present} rows; a classifier needs at "
            f"least {FEWEST_CLASSES}, with many rows each: bin the values, or choose another --label"
        )
    dropped = {name: why for name, profile in profiles.items() if (why := profile.useless())}
    if len(dropped) == len(profiles):
        reasons = "; ".join(f"{name}: {why}" for name, why in list(dropped.items())[:MOST_OFFERED])
        raise DataError(f"{place} has no column to learn {label} from ({reasons or 'no other column'}); add columns")
    classes = _counted(columns[label].text.drop_null().to_pylist())
    rows = target.present + target.missing
    boosted = rows >= BOOSTED_ROWS
    drop = [Setting("drop", dropped)] if dropped else []
    return Sketch(
        found=f"{rows:,} rows, {len(columns)} columns, {len(classes)} classes",
        classes=classes,
        data=[Setting("label", label), *_set_aside(target), *drop],
        train=[
            Setting("model", "gradient_boosting", f"from {BOOSTED_ROWS:,} rows")
            if boosted
            else Setting("model", "random_forest", f"under {BOOSTED_ROWS:,} rows")
        ],
        columns=[profile for name, profile in profiles.items() if name not in dropped],
    )


def _which_label(place: Path, asked: str | None, profiles: Mapping[str, Profile]) -> str:
    """Return the error of a table without its label: the likely columns, those with a usual name first."""
    last = list(profiles)[-1]
    likely = [name for name, column in profiles.items() if column.has_classes() and not column.useless()]
    likely.sort(key=lambda name: (name.lower() not in USUAL_LABELS, name != last, profiles[name].distinct))
    offered = f"likely: {', '.join(likely[:MOST_OFFERED])}" if likely else "none has few values with many rows each"
    if asked is None:
        return f"which column of {place.name} is learned? say so with --label; {offered}"
    close = difflib.get_close_matches(asked, profiles, n=1)
    return f"--label {asked} is no column of {place.name}; {f'did you mean {close[0]}?' if close else offered}"


def _set_aside(target: Profile) -> list[Setting]:
    share = target.missing / (target.missing + target.present)
    if share <= Data.model_fields["set_aside"].default:
        return []
    return [Setting("set_aside", min(0.99, math.ceil(share * 100) / 100), f"{target.missing:,} rows have no label")]


def _pictures(place: Path) -> Sketch:
    from components.sources.pictures import class_roots, folders_of, pictures_of

    found = [
        (path, folder.name)
        for root, _ in class_roots(place)
        for folder in folders_of(root)
        for path in pictures_of(folder)
    ]
    classes = _counted([label for _, label in found])
    if len(classes) < FEWEST_CLASSES:
        raise DataError(
            f"{place} has pictures in {len(classes)} class folders, at least {FEWEST_CLASSES} are needed: a folder per "
            f"class, like {place.name}/cat/1.jpg"
        )
    headers, faulty = _headers([path for path, _ in found])
    if not headers:
        raise DataError(f"{faulty} pictures in {place} were looked at and none can be read; check that they are whole")
    widths, heights, modes = (list(values) for values in zip(*headers, strict=True))
    shorter = median_low([min(width, height) for width, height in zip(widths, heights, strict=True)])
    side = max((size for size in SIZES if size <= shorter), default=SIZES[0])
    grey = set(modes) <= GREYS
    sizes = f"{_span(widths)} wide, {_span(heights)} high, the shorter side {shorter} in the median"
    unread = f"; {faulty} of {faulty + len(headers)} that were looked at can't be read" if faulty else ""
    return Sketch(
        found=f"{len(found):,} pictures, {len(classes)} classes{unread}",
        classes=classes,
        data=[
            Setting("size", side, sizes),
            Setting("colour", "grey", "all are") if grey else Setting("colour", "rgb", "not all are grey"),
        ],
        train=_network(side, len(found)),
    )


def _headers(paths: Sequence[Path]) -> tuple[list[tuple[int, int, str]], int]:
    """Return width, height and mode of pictures spread over all of them, and how many of these can't be read."""
    from PIL import Image

    found, faulty = [], 0
    for path in paths[:: -(-len(paths) // MOST_SAMPLED)]:
        try:
            with Image.open(path) as picture:
                found.append((*picture.size, picture.mode))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            faulty += 1
    return found, faulty


def _idx(place: Path) -> Sketch:
    from components.sources import idx

    snapshot = idx.read(place)
    labels = snapshot.rows.labels
    height, width = snapshot.rows.shape
    return Sketch(
        found=f"{len(snapshot):,} grey pictures, {height} x {width} pixels, {len(labels)} classes",
        classes=_counted([labels[target] for target in snapshot.y.tolist()]),
        data=[Setting("format", "idx", "its own test rows stay the test rows")],
        train=_network(min(height, width), len(snapshot)),
    )


def _network(side: int, pictures: int) -> list[Setting]:
    if side <= SMALL_SIDE:
        chosen = Setting("model", "mnist_cnn", f"up to {SMALL_SIDE} pixels; {TORCH}")
    elif pictures <= MANY_PICTURES:
        chosen = Setting("model", "simple_cnn", f"up to {MANY_PICTURES:,} pictures; {TORCH}")
    else:
        chosen = Setting("model", "resnet18", f"more than {MANY_PICTURES:,} pictures; {TORCH}")
    usual: int = find(chosen.value).settings.model_fields["epochs"].default
    epochs = min(usual, max(FEWEST_EPOCHS, PICTURES_SEEN // pictures))
    return [chosen] + ([Setting("epochs", epochs, f"{usual} for fewer pictures")] if epochs < usual else [])


def _counted(labels: Sequence[Any]) -> dict[str, int]:
    return dict(sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0])))


def _span(values: Sequence[int]) -> str:
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"
