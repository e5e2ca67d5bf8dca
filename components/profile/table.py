"""The columns of a table in the profile: one card each, with its gaps, its spread, and its values by class.

It shows and does not judge; :mod:`components.validate` does. Only the profile imports it.
"""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from components.profile.svg import bar, histogram, number
from components.snapshot import Snapshot

TOP_VALUES = 8
#: More cards than this make a page that nobody reads and no browser likes.
MOST_CARDS = 400


def render_columns(snapshot: Snapshot, groups: NDArray[np.int64]) -> str:
    """Return a card per column.

    Args:
        snapshot: The rows of a table.
        groups: The colour of each row, shape (rows,).
    """
    columns = len(snapshot.rows.numbers) + len(snapshot.rows.categories)
    cards = [card for card, _ in zip(_cards(snapshot, groups), range(MOST_CARDS), strict=False)]
    more = f'<p class="quiet">{columns - len(cards)} more columns are not shown.</p>' if columns > len(cards) else ""
    return f'<div class="cards">{"".join(cards)}</div>{more}'


def _cards(snapshot: Snapshot, groups: NDArray[np.int64]) -> Iterator[str]:
    for index, name in enumerate(snapshot.rows.numbers):
        yield _number_card(name, snapshot.arrays["numbers"][:, index], groups)
    for index, name in enumerate(snapshot.rows.categories):
        yield _category_card(name, snapshot.values[index], snapshot.arrays["codes"][:, index], groups)


def _number_card(name: str, values: NDArray[np.float32], groups: NDArray[np.int64]) -> str:
    present = ~np.isnan(values)
    known = np.sort(values[present])
    missing = _missing(len(values) - len(known), len(values))
    if not len(known):
        return _card(name, "number", [missing], "")
    spread = (("min", known[0]), ("median", np.median(known)), ("max", known[-1]))
    facts = [(fact, number(float(value))) for fact, value in spread]
    distinct = "distinct", f"{1 + np.count_nonzero(np.diff(known)):,}"
    return _card(name, "number", [*facts, distinct, missing], histogram(values[present], groups[present], name))


def _category_card(name: str, known: Sequence[str], codes: NDArray[np.integer], groups: NDArray[np.int64]) -> str:
    colours = int(groups.max()) + 1
    place = codes.astype(np.int64) * colours + groups
    counts = np.bincount(place, minlength=len(known) * colours).reshape(len(known), colours)
    rows = counts.sum(axis=1)
    gaps = int(rows[known.index("")]) if "" in known else 0
    # Commonest first, equals by name; a missing value is no value.
    ranked = sorted(
        (code for code in np.flatnonzero(rows).tolist() if known[code] != ""), key=lambda c: (-rows[c], known[c])
    )
    facts = [("distinct", f"{len(ranked):,}"), _missing(gaps, len(codes))]
    top = ranked[:TOP_VALUES]
    lines = [_value(known[code], counts[code].tolist(), int(rows[top[0]]), len(codes)) for code in top]
    others = f'<p class="quiet">{len(ranked) - len(top):,} other values</p>' if len(ranked) > len(top) else ""
    table = f'<table class="values"><tbody>{"".join(lines)}</tbody></table>' if lines else ""
    return _card(name, "category", facts, table + others)


def _value(value: str, counts: Sequence[int], whole: int, rows: int) -> str:
    drawn = bar([(f"g{colour}", count) for colour, count in enumerate(counts)], whole)
    return (
        f'<tr><th scope="row" title="{escape(value[:200])}">{escape(value[:80])}</th><td>{drawn}</td>'
        f"<td>{sum(counts):,}</td><td>{sum(counts) / rows:.0%}</td></tr>"
    )


def _missing(missing: int, rows: int) -> tuple[str, str]:
    return "missing", f"{missing:,} ({missing / rows:.1%})" if missing else "none"


def _card(name: str, kind: str, facts: Sequence[tuple[str, str]], body: str) -> str:
    listed = "".join(f"<div><dt>{fact}</dt><dd>{value}</dd></div>" for fact, value in facts)
    head = f'<h3>{escape(name)} <span class="kind">{kind}</span></h3>'
    return f'<section class="card">{head}{body}<dl>{listed}</dl></section>'
