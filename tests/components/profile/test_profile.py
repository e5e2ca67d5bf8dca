"""The page on a data set."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest
import snapshots

from components.profile import MOST_COLOURS, MOST_OPEN_CLASSES, render_profile
from components.snapshot import Finding, Snapshot

Y = [0, 1] * 20
COUNTS = {
    "train": {"cat": 15, "dog": 14},
    "validation": {"cat": 2, "dog": 2},
    "test": {"cat": 2, "dog": 3},
}
VOID = {"meta", "img", "rect", "path", "!doctype"}


class Page(HTMLParser):
    """Reads a page, and refuses elements that are not closed in order and references to the outside."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert name not in {"href", "srcset", "action"}, value
            assert name != "src" or value.startswith("data:image/png;base64,"), value
        assert tag not in {"script", "link", "iframe", "object"}
        if tag == "img":
            assert dict(attrs)["alt"]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"h1", "h2"} & set(self.open):
            self.headings.append(data)


def table() -> Snapshot:
    colours = ["red", "blue", "red", ""] * 10
    return snapshots.table(Y, numbers={"age": range(40)}, texts={"colour": colours}, read=42)


def render(snapshot: Snapshot, *findings: Finding) -> str:
    return render_profile("pets", snapshot, COUNTS, findings)


@pytest.mark.parametrize("kind", ["table", "grey", "colour"])
def test_a_page_is_whole_and_refers_to_nothing_outside(kind: str):
    shape = {"grey": (6, 6), "colour": (6, 6, 3)}.get(kind)
    page = render(snapshots.pictures(snapshots.noise(40, *shape), Y) if shape else table())
    expected = ["Columns"] if kind == "table" else ["Pictures", "Brightness and contrast"]
    assert Page(page).headings == ["pets", "Findings", "Classes", *expected]
    assert "url(" not in page
    assert "@import" not in page


def test_the_headline_adds_up():
    snapshot = table()
    page = render(snapshot)
    tiles = dict(re.findall(r"<div[^>]*><dt>([a-z ]+)</dt><dd>([\w,:]+)</dd></div>", page[: page.index("<main>")]))
    assert tiles == {
        "rows read": "42",
        "rows used": "38",
        "rows set aside": "4",
        "classes": "2",
        "version of the data": f"sha256:{snapshot.digest()}",
    }


@pytest.mark.parametrize(
    ("snapshot", "text"),
    [
        (table(), "a table of 2 columns: 1 number, 1 category"),
        (snapshots.pictures(snapshots.noise(40, 6, 4), Y), "pictures of 6 by 4 pixels, grey, values from 0 to 255"),
        (
            snapshots.pictures(snapshots.noise(40, 6, 4, 3), Y, maximum=16),
            "6 by 4 pixels, in colour, values from 0 to 16",
        ),
    ],
)
def test_the_page_says_what_a_row_is(snapshot: Snapshot, text: str):
    assert text in render(snapshot)


def test_warnings_stand_above_notes_and_examples_are_folded():
    page = render(
        table(),
        Finding(severity="note", text="first note", examples=("a", "b")),
        Finding(severity="warning", text="first warning", examples=("c",)),
        Finding(severity="warning", text="second warning"),
        Finding(severity="note", text="second note"),
    )
    places = [page.index(text) for text in ("first warning", "second warning", "first note", "second note")]
    assert places == sorted(places)
    assert "<details><summary>2 examples</summary><ul><li>a</li><li>b</li></ul></details>" in page
    assert "<details><summary>1 example</summary><ul><li>c</li></ul></details>" in page
    assert page.count("<details>") == 2


def test_without_findings_the_page_says_so():
    assert "Nothing in these rows asks for attention" in render(table())
    assert "Nothing in these rows asks for attention" not in render(table(), Finding(severity="note", text="x"))


def test_classes_are_counted_by_split():
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td>.*?</td>(.*?)</tr>', render(table()))
    counted = {re.sub("<.*?>", "", label): re.findall(r"<td>(\d+)</td>", cells) for label, cells in rows}
    assert counted == {"cat": ["15", "2", "2", "19"], "dog": ["14", "2", "3", "19"]}


def test_many_classes_share_one_colour_and_the_rest_of_them_is_folded():
    labels = tuple(f"class {index}" for index in range(MOST_OPEN_CLASSES + 2))
    many = snapshots.table([index % len(labels) for index in range(400)], labels=labels)
    page = render_profile("pets", many, {"train": dict.fromkeys(labels, 3)}, [])
    Page(page)
    assert "<summary>2 more classes</summary>" in page
    assert '<path class="g0"' in page
    assert '<path class="g1"' not in page
    few = snapshots.table([index % MOST_COLOURS for index in range(400)], labels=labels[:MOST_COLOURS])
    assert f'<path class="g{MOST_COLOURS - 1}"' in render_profile("pets", few, {"train": {}}, [])


def test_everything_from_the_data_is_escaped():
    bad = "</style><script>alert('1')</script>\"x"
    snapshot = snapshots.table(Y, numbers={bad: range(40)}, texts={bad + "2": [bad] * 40}, labels=(bad, "dog"))
    finding = Finding(severity="warning", text=bad, examples=(bad,))
    page = render_profile(bad, snapshot, {bad: {bad: 40}}, [finding])
    Page(page)
    assert "<script" not in page
    assert bad in unescape(page)


def test_the_same_data_gives_the_same_page():
    assert render(table()) == render(table())
    x = snapshots.noise(40, 6, 6, 3)
    assert render(snapshots.pictures(x, Y)) == render(snapshots.pictures(x, Y))


def test_two_hundred_columns_are_a_page_below_two_megabytes():
    columns = {f"column {index}": snapshots.noise(500, seed=index) for index in range(200)}
    wide = snapshots.table([row % 6 for row in range(500)], numbers=columns, labels=tuple("abcdef"))
    assert len(render_profile("wide", wide, COUNTS, [])) < 2_000_000


def test_twenty_classes_of_photographs_are_a_page_below_two_megabytes():
    # Noise is the worst case: nothing in it can be compressed.
    labels = tuple(map(str, range(20)))
    x = snapshots.noise(160, 96, 96, 3)
    photos = snapshots.pictures(x, [row % 20 for row in range(160)], labels=labels)
    assert len(render_profile("photos", photos, COUNTS, [])) < 2_000_000
