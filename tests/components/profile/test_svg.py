"""Charts by hand: what stands in their bars."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from components.profile.svg import BINS, HEIGHT, WIDTH, bar, histogram, number


def parsed(drawn: str) -> ET.Element:
    return ET.fromstring(drawn)  # noqa: S314 (what was drawn a line before)


def bars(drawn: str) -> list[list[tuple[int, int, int, int]]]:
    """Return left, top, width and height of each bar, by colour."""
    paths = parsed(drawn).findall("svg/path")
    shape = r"M(\d+) (\d+)h(\d+)v(\d+)h-\3z"
    return [[tuple(map(int, found)) for found in re.findall(shape, path.get("d") or "")] for path in paths]


def ends(drawn: str) -> list[str | None]:
    return [span.text for span in parsed(drawn).findall("figcaption/span")]


def one_colour(values: np.ndarray) -> str:
    return histogram(values, np.zeros(len(values), np.int64), "age")


def test_heights_follow_the_counts():
    (drawn,) = bars(one_colour(np.array([0, 1, 1, 2, 2, 2, 2], np.float32)))
    assert [height for _, _, _, height in drawn] == [HEIGHT // 4, HEIGHT // 2, HEIGHT]
    assert all(top + height == HEIGHT for _, top, _, height in drawn)


def test_groups_are_stacked():
    lower, upper = bars(histogram(np.array([5.0, 5.0, 5.0, 5.0]), np.array([0, 0, 0, 1]), "age"))
    assert lower[0][1:] == (HEIGHT // 4, lower[0][2], HEIGHT * 3 // 4)
    assert upper[0][1:] == (0, lower[0][2], HEIGHT // 4)


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(-3, 9, 500),
        np.arange(1000.0),
        np.array([1e-38, 1e38]),
        np.array([7.0]),
        np.array([0.25, 0.25]),
        np.array([-1e30, 0, 1, 2, 3] * 300),
    ],
    ids=["even", "whole", "huge", "one", "constant", "outliers"],
)
def test_bars_stay_inside_and_side_by_side(values: np.ndarray):
    (drawn,) = bars(one_colour(values))
    assert 1 <= len(drawn) <= BINS
    assert all(left >= 0 and left + width <= WIDTH and 0 <= top < HEIGHT for left, top, width, _ in drawn)
    assert all(a[0] + a[2] <= b[0] for a, b in pairwise(drawn))


def test_whole_numbers_leave_no_comb():
    (drawn,) = bars(one_colour(np.repeat(np.arange(73.0), 10)))
    assert len(drawn) == 25  # three whole numbers each
    assert {height for *_, height in drawn[:-1]} == {HEIGHT}


def test_the_axis_names_the_ends():
    assert ends(one_colour(np.array([0.5, 12345.6]))) == ["0.5", "12,346"]


def test_outliers_are_gathered_in_the_outermost_bar_and_the_axis_says_so():
    drawn = one_colour(np.array([*np.linspace(0, 1, 995), *[1e6] * 5]))
    first, last = ends(drawn)
    assert first == "≤ 0.01005"
    assert last == "≥ 0.995"
    assert len(bars(drawn)[0]) == BINS


def test_a_chart_says_what_it_shows():
    svg = parsed(histogram(np.array([1.0, 2.0, 2.0]), np.zeros(3, np.int64), '<"age">')).find("svg")
    assert svg is not None
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == 'histogram of <"age">, from 1 to 2, highest near 2'


def test_a_bar_lays_counts_side_by_side():
    drawn = parsed(bar([("s0", 30), ("s1", 0), ("s2", 10)], 80))
    found = [(part.get("class"), part.get("x"), part.get("width")) for part in drawn]
    assert found == [("s0", "0", "375"), ("s2", "375", "125")]


def test_one_of_many_can_still_be_seen():
    (drawn,) = parsed(bar([("s0", 1)], 1_000_000))
    assert drawn.get("width") == "2"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-3.0, "-3"),
        (1234567.0, "1,234,567"),
        (12345.6, "12,346"),
        (0.01234567, "0.01235"),
        (float(np.float32(0.1)), "0.1"),
        (3e30, "3e+30"),
    ],
)
def test_numbers_are_short(value: float, text: str):
    assert number(value) == text
