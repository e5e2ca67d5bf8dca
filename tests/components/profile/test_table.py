"""The cards of columns."""

import re
from html import unescape

import numpy as np
import pytest
import snapshots

from components.profile.table import TOP_VALUES, render_columns
from components.snapshot import Snapshot

Y = [0, 1] * 20


def cards(snapshot: Snapshot) -> list[str]:
    return re.findall(r'<section class="card">.*?</section>', render_columns(snapshot, snapshot.y))


def facts(card: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", card))


def values(card: str) -> dict[str, tuple[int, int]]:
    """Return the rows of each value listed, and how many colours its bar has."""
    listed = re.findall(r"<tr><th[^>]*>(.*?)</th><td>(.*?)</td><td>(.*?)</td>", card)
    return {unescape(value): (int(rows), drawn.count("<rect")) for value, drawn, rows in listed}


def test_a_card_of_numbers_tells_their_spread():
    (card,) = cards(snapshots.table(Y, numbers={"age": [*range(38), np.nan, np.nan]}))
    assert facts(card) == {"min": "0", "median": "18.5", "max": "37", "distinct": "38", "missing": "2 (5.0%)"}
    assert "histogram of age, from 0 to 37" in card
    assert 'class="g0"' in card
    assert 'class="g1"' in card


def test_numbers_without_a_value_have_a_card_without_a_chart():
    (card,) = cards(snapshots.table(Y, numbers={"age": [np.nan] * 40}))
    assert facts(card) == {"missing": "40 (100.0%)"}
    assert "<svg" not in card


def test_a_card_of_categories_lists_the_commonest_values_by_class():
    (card,) = cards(snapshots.table(Y, texts={"colour": ["red"] * 10 + ["blue", "teal", "blue", ""] * 7 + ["red"] * 2}))
    assert list(values(card).items()) == [("blue", (14, 1)), ("red", (12, 2)), ("teal", (7, 1))]
    assert facts(card) == {"distinct": "3", "missing": "7 (17.5%)"}


def test_values_that_are_not_listed_are_counted():
    (card,) = cards(snapshots.table(Y, texts={"name": [f"id-{row:02}" for row in range(40)]}))
    assert list(values(card)) == [f"id-{row:02}" for row in range(TOP_VALUES)]
    assert "32 other values" in card


def test_categories_without_a_value_have_a_card():
    (card,) = cards(snapshots.table(Y, texts={"colour": [""] * 40}))
    assert values(card) == {}
    assert facts(card) == {"distinct": "0", "missing": "40 (100.0%)"}


def test_every_column_has_its_card_in_order():
    drawn = cards(snapshots.table(Y, numbers={"b": Y, "a": Y}, texts={"d": ["x"] * 40, "c": ["y"] * 40}))
    assert [re.findall("<h3>(.*?) ", card)[0] for card in drawn] == ["b", "a", "d", "c"]


def test_names_and_values_are_escaped():
    (card,) = cards(snapshots.table(Y, texts={"<i>": ['"><script>x</script>'] * 40}))
    assert "<script" not in card
    assert "<i>" not in card
    assert "&quot;&gt;&lt;script&gt;" in card


def test_so_many_columns_are_counted_and_not_drawn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("components.profile.table.MOST_CARDS", 3)
    drawn = render_columns(snapshots.table(Y, numbers={str(index): Y for index in range(5)}), np.array(Y))
    assert drawn.count('class="card"') == 3
    assert "2 more columns are not shown" in drawn
