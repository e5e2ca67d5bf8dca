"""What the rows of a snapshot must be for any training to start, and what of them a person should look at first.

It judges content only: files that can't be read, columns that don't exist and pictures that can't be decoded are
refused by the readers in ``components/sources``. It refuses data without classes to tell apart or rows to hold out;
everything else is a finding. Any stage may import it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.dataset import SPLITS, chunks
from components.errors import DataError
from components.snapshot import FREE, MOST_EXAMPLES, Finding, Snapshot

FEWEST_CLASSES = 2
#: Different rows of a class, where the rows are dealt out here.
FEWEST_ROWS_OF_A_CLASS = 10
#: Different training rows of a class, where the source has a split of its own.
FEWEST_TRAINING_ROWS = 2
#: A category column with more rows than this and more values than half of them looks like an identifier.
FEWEST_ROWS_OF_AN_IDENTIFIER = 50
#: A value must stand for this many rows on average before it can be said to give the label away.
ROWS_PER_TELLING_VALUE = 10
#: How many times the rows of a rare class go into those of the commonest one.
RARE = 10
MOST_NAMES = 3
TRAIN, _, TEST = range(len(SPLITS))

EMPTY = "no value at all in {}; leave out with data.drop"
CONSTANT = "one single value in {}, which teaches nothing; leave out with data.drop"
MOSTLY_MISSING = "more than half of the values missing in {}; fill them at the source, or leave out with data.drop"
IDENTIFIER = "more values than half of the rows in {}, as identifiers have; leave out with data.drop"
TELLING = "the class can be read off {} alone; if it is known only after the class is, leave out with data.drop"
RULES = (TELLING, IDENTIFIER, EMPTY, CONSTANT, MOSTLY_MISSING)


def validate(snapshot: Snapshot, same: NDArray[np.int64]) -> list[Finding]:
    """Judge the rows that a source gave.

    Args:
        snapshot: The rows.
        same: For each row the index of the first one with equal content, see :func:`components.snapshot.twins`.

    Returns:
        What is worth a look; what the reader found is not repeated.

    Raises:
        DataError: No rows, one class only, or a class with too few different rows to train on and to be judged by.
    """
    left_out = leaked(snapshot, same)
    _require_rows(snapshot)
    _require_different_rows(snapshot, same, left_out)
    pictures = _one_colour(snapshot) if snapshot.rows.kind == "image" else []
    return [
        *_alike_names(snapshot.rows.labels),
        *_rare_classes(snapshot),
        *_columns(snapshot),
        *_contradictions(snapshot, same),
        *_copies(snapshot, left_out),
        *pictures,
        *_equal_rows(same),
    ]


def leaked(snapshot: Snapshot, same: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the rows whose content also occurs in a later part of the source's own split.

    A model that learned such a row would be judged on what it knows by heart.

    Args:
        snapshot: The rows.
        same: For each row the index of the first one with equal content.

    Returns:
        Ascending indices of training rows that occur in validation or test, and of validation rows that occur in test.
    """
    part = np.maximum(snapshot.home, TRAIN)
    latest = np.zeros_like(part)
    np.maximum.at(latest, same, part)
    return np.flatnonzero(part < latest[same])


def _require_rows(snapshot: Snapshot) -> None:
    if not len(snapshot):
        raise DataError(f"0 of {snapshot.read} rows can be used, training needs rows; check data.source")
    present = [snapshot.rows.labels[target] for target in np.unique(snapshot.y)]
    if len(present) < FEWEST_CLASSES:
        raise DataError(
            f"every row is of class {present[0]!r}, a classifier needs at least {FEWEST_CLASSES} classes; "
            "add rows of another class or choose another label"
        )


def _require_different_rows(snapshot: Snapshot, same: NDArray[np.int64], left_out: NDArray[np.int64]) -> None:
    needs = [(TRAIN, FEWEST_TRAINING_ROWS, "different training rows in the source's own split")]
    if (snapshot.home == FREE).any():
        needs = [(FREE, FEWEST_ROWS_OF_A_CLASS, "different rows to be split")]
    if (snapshot.home != FREE).any():
        needs.append((TEST, 1, "different test rows in the source's own split"))
    home = snapshot.home.copy()
    home[left_out] = len(SPLITS)
    classes = len(snapshot.rows.labels)
    for part, fewest, what in needs:
        different = np.unique((same * classes + snapshot.y)[home == part])
        for target, rows in enumerate(np.bincount(different % classes, minlength=classes).tolist()):
            if rows < fewest:
                copies = " (copies of held-out rows are left out)" if len(left_out) else ""
                raise DataError(
                    f"class {snapshot.rows.labels[target]!r} has {rows} {what}{copies}, each class needs {fewest}; "
                    "add rows or leave the class out"
                )


def _alike_names(labels: Sequence[str]) -> list[Finding]:
    spelt: dict[str, list[str]] = {}
    for label in labels:
        spelt.setdefault("".join(label.casefold().split()), []).append(label)
    alike = [" and ".join(map(repr, names)) for names in spelt.values() if len(names) > 1]
    if not alike:
        return []
    text = f"the names of classes differ only by case or spaces: {alike[0]}; if they mean one class, give it one name"
    return [_warning(text, alike)]


def _rare_classes(snapshot: Snapshot) -> list[Finding]:
    counts = np.bincount(snapshot.y, minlength=len(snapshot.rows.labels))
    rare = np.flatnonzero(counts * RARE < counts.max())
    if not len(rare):
        return []
    commonest = int(counts.argmax())
    rows = [f"{snapshot.rows.labels[target]}: {_counted(int(counts[target]), 'row')}" for target in rare]
    text = (
        f"less than a tenth of the {counts[commonest]} rows of {snapshot.rows.labels[commonest]!r} in "
        f"{_named([snapshot.rows.labels[target] for target in rare])}; add rows, or set train.class_weights to balanced"
    )
    return [_warning(text, rows)]


@dataclass(frozen=True)
class _Column:
    """A column of a table.

    Attributes:
        name: Its name.
        rows: Each row's number, or its code for text.
        values: What occurs in it, ascending; a missing value is NaN or ``""``.
        counts: How many rows have each value.
        present: Which of the values are no missing one.
    """

    name: str
    rows: NDArray[Any]
    values: Sequence[str] | NDArray[np.float32]
    counts: NDArray[np.int64]
    present: NDArray[np.bool_]

    @property
    def missing(self) -> int:
        return int(self.counts[~self.present].sum())

    @property
    def distinct(self) -> int:
        return int(np.count_nonzero(self.counts[self.present]))

    @property
    def example(self) -> str:
        value = self.values[int((self.counts * self.present).argmax())]
        return repr(value[:40]) if isinstance(value, str) else f"{value:g}"

    def looks_like_an_identifier(self) -> bool:
        is_text = not isinstance(self.values, np.ndarray)
        return is_text and len(self.rows) > FEWEST_ROWS_OF_AN_IDENTIFIER and self.distinct * 2 > len(self.rows)

    def gives_away(self, y: NDArray[np.int64]) -> bool:
        """Tell whether every value, a missing one included, goes with one class, and has rows enough to mean it."""
        used = int(np.count_nonzero(self.counts))
        if used < FEWEST_CLASSES or used * ROWS_PER_TELLING_VALUE >= len(self.rows):
            return False
        codes = np.searchsorted(self.values, self.rows) if isinstance(self.values, np.ndarray) else self.rows
        pairs = codes.astype(np.int64) * (int(y.max()) + 1) + y
        return int(np.count_nonzero(np.bincount(pairs))) == used


def _table(snapshot: Snapshot) -> Iterator[_Column]:
    """Yield the columns of a table one at a time, so that there is one column in memory at once."""
    for index, name in enumerate(snapshot.rows.numbers):
        rows = snapshot.arrays["numbers"][:, index]
        values, counts = np.unique(rows, return_counts=True)
        yield _Column(name, rows, values, counts, ~np.isnan(values))
    for index, name in enumerate(snapshot.rows.categories):
        rows, known = snapshot.arrays["codes"][:, index], snapshot.values[index]
        present = np.array([value != "" for value in known])
        yield _Column(name, rows, known, np.bincount(rows, minlength=len(known)), present)


def _columns(snapshot: Snapshot) -> list[Finding]:
    found: dict[str, dict[str, str]] = {rule: {} for rule in RULES}
    for column in _table(snapshot):
        for rule, fact in _broken(column, snapshot.y):
            found[rule][column.name] = f"{column.name}: {fact}"
    return [_warning(rule.format(_named(list(facts))), list(facts.values())) for rule, facts in found.items() if facts]


def _broken(column: _Column, y: NDArray[np.int64]) -> Iterator[tuple[str, str]]:
    """Yield each rule that a column breaks, and the fact."""
    rows = len(column.rows)
    if not column.distinct:
        yield EMPTY, f"{column.missing} of {rows} missing"
        return
    if column.distinct == 1:
        yield CONSTANT, f"always {column.example}"
    if column.missing * 2 > rows:
        yield MOSTLY_MISSING, f"{column.missing} of {rows} missing"
    if column.looks_like_an_identifier():
        yield IDENTIFIER, f"{column.distinct} values in {rows} rows"
    if column.gives_away(y):
        yield TELLING, f"{_counted(column.distinct, 'value')}, each with one class"


def _contradictions(snapshot: Snapshot, same: NDArray[np.int64]) -> list[Finding]:
    rows = np.flatnonzero(snapshot.y != snapshot.y[same])
    if not len(rows):
        return []
    examples = [f"{_row(snapshot, int(same[row]))} and {_row(snapshot, int(row))}" for row in rows[:MOST_EXAMPLES]]
    text = (
        f"{_counted(len(rows), 'row')} of {len(same)} of another class than an equal row, first {examples[0]}; "
        "correct the labels, or add a column that tells them apart"
    )
    return [_warning(text, examples)]


def _copies(snapshot: Snapshot, left_out: NDArray[np.int64]) -> list[Finding]:
    if not len(left_out):
        return []
    text = (
        f"{_counted(len(left_out), 'row')} of the source's own split repeated in validation or test and left out of "
        "what is learned from, or the model would be judged on what it knows by heart; remove the copies"
    )
    return [_warning(text, [_row(snapshot, int(row)) for row in left_out[:MOST_EXAMPLES]])]


def _one_colour(snapshot: Snapshot) -> list[Finding]:
    flat: list[int] = []
    for start, part in chunks(snapshot.arrays["x"]):
        equal = (part == part[:, :1, :1]).reshape(len(part), -1).all(axis=1)
        flat += (np.flatnonzero(equal) + start).tolist()
    if not flat:
        return []
    text = f"{_counted(len(flat), 'picture')} of {len(snapshot)} all of one colour; remove those that are damaged"
    return [_warning(text, [_row(snapshot, row) for row in flat[:MOST_EXAMPLES]])]


def _equal_rows(same: NDArray[np.int64]) -> list[Finding]:
    repeated = np.flatnonzero(same != np.arange(len(same)))
    if not len(repeated):
        return []
    text = (
        f"{_counted(len(repeated), 'row')} of {len(same)} ({len(repeated) / len(same):.1%}) equal to an earlier one; "
        "equal rows stay in one part, remove those that were not measured twice"
    )
    examples = tuple(f"row {row + 1} equals row {same[row] + 1}" for row in repeated[:MOST_EXAMPLES])
    return [Finding(severity="note", text=text, examples=examples)]


def _warning(text: str, examples: Sequence[str]) -> Finding:
    return Finding(severity="warning", text=text, examples=tuple(examples[:MOST_EXAMPLES]))


def _row(snapshot: Snapshot, row: int) -> str:
    """Name a row so that it can be found: a decoded picture by the SHA-256 of its file, as sha256sum prints it."""
    file = f", sha256 {snapshot.digests[row].hex()[:12]}" if snapshot.rows.picture else ""
    return f"row {row + 1} ({snapshot.rows.labels[snapshot.y[row]]!r}{file})"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(map(repr, names[:MOST_NAMES])) + more


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
