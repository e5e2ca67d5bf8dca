"""A configuration drafted from the data itself, for a person to read, change and keep.

What was found and why it was decided so stands in comments beside the settings. It refuses what no run could learn
from. The command line may import it.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from components.config import Config, Data
from components.draft.sketch import Profile, Setting, Sketch, sketch
from components.errors import ConfigError
from components.ingest import locate
from components.section import validate
from components.validate import FEWEST_ROWS_OF_A_CLASS

#: A class is rare if its rows go more often than this into those of the commonest one.
RARE = 3
MOST_LISTED = 40
SUFFIXES = re.compile(r"(\.(csv|tsv|txt|parquet|pq|zip|tar|gz|tgz|bz2|xz))+$")


def draft(place: str, label: str | None = None, name: str | None = None, *, cache: Path | None = None) -> str:
    """Return the text of a YAML file that :func:`components.config.read_config` reads.

    Args:
        place: What ``data.source`` takes: a table, a folder of pictures per class, the folder of the idx files.
        label: Tables: the column that is learned.
        name: The model's name; by default made from the place.
        cache: Where what is fetched is kept, for the run that follows; by default nowhere.

    Raises:
        ConfigError: A name breaks its rule, there is no such source, or a label is given for pictures.
        DataError: The data can't be used, or the label of a table is missing or no column with classes.
        StoreError: The object store can't be reached.
    """
    data = validate(Data, {"source": place}, "data")
    if place.startswith("builtin://"):
        raise ConfigError(f"{place} needs no draft; configs/ has a configuration for it")
    with TemporaryDirectory(prefix="slipway-") as scratch:
        found = sketch(locate(data, cache or Path(scratch)), label)
    text = "\n".join(_lines(place, _name(place) if name is None else name, found)) + "\n"
    Config.build(yaml.safe_load(text))
    return text


def _lines(place: str, name: str, found: Sketch) -> list[str]:
    return [
        f"# {_plain(place, 80)}: {found.found}",
        *_class_lines(found.classes),
        "# Drafted from the data: change what you know better.",
        *_setting("", Setting("name", name)),
        "data:",
        *_setting("  ", Setting("source", place)),
        *chain.from_iterable(_setting("  ", setting) for setting in found.data),
        *_column_lines(found.columns),
        "train:",
        *chain.from_iterable(_setting("  ", setting) for setting in found.train),
        *_weights(found.classes),
        "gate:",
        *chain.from_iterable(_setting("  ", setting) for setting in _gate(found.classes)),
    ]


def _class_lines(classes: Mapping[str, int]) -> list[str]:
    total = sum(classes.values())
    shown = [(_plain(name), rows) for name, rows in classes.items()][:MOST_LISTED]
    width = max(len(name) for name, _ in shown)
    lines = [
        f"#   {name:<{width}}  {rows:>9,}  {rows / total:6.1%}"
        + (f"  too few, each class needs {FEWEST_ROWS_OF_A_CLASS}" if rows < FEWEST_ROWS_OF_A_CLASS else "")
        for name, rows in shown
    ]
    return [*lines, *_rest(len(classes), "#")]


def _column_lines(columns: Sequence[Profile]) -> list[str]:
    if not columns:
        return []
    shown = columns[:MOST_LISTED]
    width = max(len(_plain(column.name)) for column in shown)
    lines = ["  # Learned from these. If a number is a code, say so: columns: {NAME: category}"]
    for column in shown:
        gaps = f", {column.missing:,} missing" if column.missing else ""
        lines.append(f"  #   {_plain(column.name):<{width}}  {column.kind:<8}  {column.distinct:,} values{gaps}")
    return [*lines, *_rest(len(columns), "  #")]


def _rest(count: int, start: str) -> list[str]:
    return [f"{start}   and {count - MOST_LISTED} more"] if count > MOST_LISTED else []


def _uneven(classes: Mapping[str, int]) -> bool:
    return min(classes.values()) * RARE < max(classes.values())


def _weights(classes: Mapping[str, int]) -> list[str]:
    if not _uneven(classes):
        return []
    common, *_, rare = map(_plain, classes)
    return _setting("  ", Setting("class_weights", "balanced", f"{rare} is not a third as frequent as {common}"))


def _gate(classes: Mapping[str, int]) -> list[Setting]:
    """Ask for half of what there is to gain over always saying the commonest class, which learns nothing."""
    common, most = next(iter(classes.items()))
    if _uneven(classes):
        metric = Setting("metric", "recall_macro", "the mean over classes, so that the rare ones count")
        guessing = 1 / len(classes)
    else:
        metric = Setting("metric", "accuracy")
        guessing = most / sum(classes.values())
    minimum = round((1 + guessing) / 2, 2)
    why = f"half-way to 1 from {guessing:.2f}, which always saying {_plain(common)} reaches"
    return [metric, Setting("minimum", minimum, why)]


def _setting(indent: str, setting: Setting) -> list[str]:
    if isinstance(setting.value, Mapping):
        items = [_line(f"{indent}  - {_scalar(item)}", why) for item, why in setting.value.items()]
        return [f"{indent}{setting.name}:", *items]
    return [_line(f"{indent}{setting.name}: {_scalar(setting.value)}", setting.why)]


def _line(text: str, why: str) -> str:
    return f"{text:<30}  # {why}" if why else text


def _scalar(value: str | float) -> str:
    """Return a value as it stands in YAML, quoted where it has to be."""
    text: str = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=math.inf)
    return text.strip()[1:-1]


def _plain(text: str, longest: int = 40) -> str:
    """Return text that a comment can hold: one line, printable, not too long."""
    line = "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _name(place: str) -> str:
    """Make a model's name from a place: its last part without suffixes, as a DNS label."""
    path = place.partition("://")[2].partition("@")[0] if "://" in place else str(Path(place).resolve())
    stem = SUFFIXES.sub("", path.rstrip("/").rpartition("/")[2].lower())
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-") or "model"
