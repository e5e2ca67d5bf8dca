"""What data training may start with, and what is said about the rest."""

from collections.abc import Sequence

import numpy as np
import pytest
import snapshots

from components.errors import DataError
from components.snapshot import FREE, MOST_EXAMPLES, Finding, Snapshot, twins
from components.validate import leaked, validate

TRAIN, VALIDATION, TEST = range(3)
#: Two classes of thirty rows, mixed.
Y = [0, 1] * 30
SIZES = [row / 7 for row in range(60)]


def judge(snapshot: Snapshot) -> list[Finding]:
    return validate(snapshot, twins(snapshot.arrays))


def texts(snapshot: Snapshot) -> list[str]:
    return [finding.text for finding in judge(snapshot)]


def only(snapshot: Snapshot) -> Finding:
    (finding,) = judge(snapshot)
    return finding


def with_text(values: Sequence[str]) -> Snapshot:
    return snapshots.table(Y, numbers={"size": SIZES}, texts={"colour": values})


def test_nothing_is_said_about_good_data():
    colours = ["red", "red", "blue", "blue", "", "red"] * 10
    assert judge(with_text(colours)) == []
    assert judge(snapshots.pictures(snapshots.noise(60, 4, 4), Y)) == []


# What no training may start with


def test_a_source_without_usable_rows_is_refused():
    with pytest.raises(DataError, match="0 of 7 rows can be used"):
        judge(snapshots.table([], read=7))


def test_a_single_class_is_refused():
    with pytest.raises(DataError, match="every row is of class 'dog', a classifier needs at least 2 classes"):
        judge(snapshots.table([1] * 30))


def test_nine_different_rows_of_a_class_are_refused_and_ten_are_enough():
    with pytest.raises(DataError, match="class 'dog' has 9 different rows to be split, each class needs 10"):
        judge(snapshots.table([0] * 30 + [1] * 9))
    judge(snapshots.table([0] * 30 + [1] * 10))


def test_copies_are_no_different_rows():
    sizes = [*range(30), *range(30, 39), 38, 38]
    with pytest.raises(DataError, match="class 'dog' has 9 different rows"):
        judge(snapshots.table([0] * 30 + [1] * 11, numbers={"size": sizes}))


def test_a_class_without_rows_is_refused():
    with pytest.raises(DataError, match="class 'eel' has 0 different rows"):
        judge(snapshots.table(Y, labels=("cat", "dog", "eel")))


def test_a_split_of_the_source_needs_two_training_rows_and_a_test_row_of_each_class():
    home = [TRAIN, TRAIN, TRAIN, TRAIN, TEST, TEST]
    judge(snapshots.table([0, 1, 0, 1, 0, 1], home=home))
    with pytest.raises(
        DataError, match="class 'dog' has 1 different training rows in the source's own split.* needs 2"
    ):
        judge(snapshots.table([0, 1, 0, 0, 0, 1], home=home))
    with pytest.raises(DataError, match="class 'dog' has 0 different test rows in the source's own split.* needs 1"):
        judge(snapshots.table([0, 1, 0, 1, 0, 0], home=home))


def test_a_source_with_test_rows_only_set_apart_needs_ten_rows_to_deal_out():
    home = [FREE] * 20 + [TEST] * 2
    judge(snapshots.table([0, 1] * 11, home=home))
    with pytest.raises(DataError, match="class 'dog' has 9 different rows to be split"):
        judge(snapshots.table([0] * 11 + [1] * 9 + [0, 1], home=home))


def test_training_rows_that_are_left_out_as_copies_do_not_count():
    home = [TRAIN, TRAIN, TRAIN, TRAIN, TEST, TEST]
    copied = snapshots.table([0, 0, 1, 1, 0, 1], numbers={"size": [1, 2, 3, 4, 5, 4]}, home=home)
    with pytest.raises(DataError, match=r"class 'dog' has 1 .*\(copies of held-out rows are left out\)"):
        judge(copied)


# Columns


@pytest.mark.parametrize(
    ("values", "text", "example"),
    [
        ([""] * 60, "no value at all in 'colour'; leave out with data.drop", "colour: 60 of 60 missing"),
        (["red"] * 59 + [""], "one single value in 'colour'", "colour: always 'red'"),
        (
            ["red", "blue"] + ["red", "blue", "", "", "", ""] * 9 + ["red"] * 4,
            "more than half of the values",
            "36 of 60",
        ),
        (
            [f"id-{row % 31}" for row in range(60)],
            "more values than half of the rows in 'colour'",
            "31 values in 60 rows",
        ),
        (["meow", "woof"] * 30, "the class can be read off 'colour' alone", "2 values, each with one class"),
        (["meow", ""] * 30, "the class can be read off 'colour' alone", "colour: 1 value, each with one class"),
    ],
)
def test_a_column_of_text_that_a_person_should_look_at_is_named(values: list[str], text: str, example: str):
    found = [finding for finding in judge(with_text(values)) if text in finding.text]
    assert [finding.severity for finding in found] == ["warning"]
    assert example in found[0].examples[0]


@pytest.mark.parametrize(
    "values",
    [
        ["red", "blue", ""] * 20,  # a third is missing
        [["red", "blue"][row // 2 % 2] if row < 30 else "" for row in range(60)],  # half is missing, no more
        [f"id-{row % 30}" for row in range(60)],  # half of the rows, no more
        ["meow", "woof"] * 29 + ["woof", "meow"],  # two rows go the other way
        [f"id-{row % 6}" for row in range(60)],  # ten rows for each value may go with one class by chance
    ],
)
def test_an_ordinary_column_of_text_is_not_named(values: list[str]):
    assert judge(with_text(values)) == []


def test_a_short_table_may_have_a_different_text_in_every_row():
    names = {"name": [f"id-{row}" for row in range(50)]}
    assert judge(snapshots.table(Y[:50], texts=names)) == []
    names["name"].append("id-50")
    assert "as identifiers have" in only(snapshots.table(Y[:51], texts=names)).text


@pytest.mark.parametrize(
    ("values", "text", "example"),
    [
        ([np.nan] * 60, "no value at all in 'age'", "60 of 60 missing"),
        ([7.5] * 59 + [np.nan], "one single value in 'age'", "age: always 7.5"),
        ([np.nan] * 31 + SIZES[31:], "more than half of the values missing in 'age'", "31 of 60 missing"),
        ([0.0, 1.0] * 30, "the class can be read off 'age' alone", "2 values"),
    ],
)
def test_a_column_of_numbers_that_a_person_should_look_at_is_named(values: list[float], text: str, example: str):
    found = only(snapshots.table(Y, numbers={"size": SIZES, "age": values}))
    assert text in found.text
    assert example in found.examples[0]


def test_numbers_may_all_differ():
    assert judge(snapshots.table(Y, numbers={"size": SIZES, "age": SIZES[::-1]})) == []


def test_columns_with_one_fault_share_one_finding():
    constant = {f"{name}{{}}": [1.0] * 60 for name in "abcde"}
    found = only(snapshots.table(Y, numbers={"size": SIZES} | constant))
    assert "'a{}', 'b{}', 'c{}' and 2 more" in found.text
    assert len(found.examples) == 5


# Classes


def test_names_of_classes_that_differ_by_case_or_spaces_are_named():
    found = only(snapshots.table([0, 1, 2] * 20, labels=("Siamese Cat", "siamese cat", "dog")))
    assert "'Siamese Cat' and 'siamese cat'" in found.text
    assert judge(snapshots.table([0, 1, 2] * 20, labels=("cat", "cats", "dog"))) == []


def test_a_class_with_less_than_a_tenth_of_the_commonest_ones_rows_is_named():
    found = only(snapshots.table([0] * 101 + [1] * 10))
    assert "101 rows of 'cat'" in found.text
    assert "train.class_weights to balanced" in found.text
    assert found.examples == ("dog: 10 rows",)
    assert judge(snapshots.table([0] * 100 + [1] * 10)) == []


# Rows


def test_equal_rows_are_a_note_with_their_share():
    found = only(snapshots.table(Y, numbers={"size": [*SIZES[:58], SIZES[0], SIZES[1]]}))
    assert found.severity == "note"
    assert found.text.startswith("2 rows of 60 (3.3%) equal to an earlier one")
    assert found.examples == ("row 59 equals row 1", "row 60 equals row 2")


def test_equal_rows_of_two_classes_are_a_contradiction():
    contradiction, equal = judge(snapshots.table(Y, numbers={"size": [*SIZES[:59], SIZES[0]]}))
    assert contradiction.severity == "warning"
    assert contradiction.text.startswith("1 row of 60 of another class than an equal row")
    assert contradiction.examples == ("row 1 ('cat') and row 60 ('dog')",)
    assert equal.severity == "note"


def test_examples_end_somewhere():
    found = judge(snapshots.table([0, 1] * 100, numbers={"size": [row // 2 for row in range(200)]}))
    assert [finding.text.split(" of ")[0] for finding in found] == ["100 rows", "100 rows"]
    assert [len(finding.examples) for finding in found] == [MOST_EXAMPLES, MOST_EXAMPLES]


def leaky() -> Snapshot:
    home = [TRAIN] * 6 + [VALIDATION] * 3 + [TEST] * 3
    sizes = [0, 1, 2, 3, 4, 5, 0, 6, 7, 1, 6, 8]
    return snapshots.table([0, 1] * 6, numbers={"size": sizes}, home=home)


def test_rows_that_a_later_part_repeats_are_leaked():
    snapshot = leaky()
    # 0 is in validation, 1 in test, and 6 in validation and test.
    assert leaked(snapshot, twins(snapshot.arrays)).tolist() == [0, 1, 7]


def test_a_copy_in_training_of_what_is_in_validation_and_test_is_leaked_once():
    snapshot = snapshots.table([0] * 4, numbers={"size": [1, 1, 1, 1]}, home=[TEST, VALIDATION, TRAIN, TRAIN])
    assert leaked(snapshot, twins(snapshot.arrays)).tolist() == [1, 2, 3]


def test_free_rows_leak_into_test_rows_and_not_among_themselves():
    free = snapshots.table([0] * 3, numbers={"size": [1, 1, 2]})
    assert leaked(free, twins(free.arrays)).tolist() == []
    mixed = snapshots.table([0] * 3, numbers={"size": [1, 1, 2]}, home=[FREE, TEST, FREE])
    assert leaked(mixed, twins(mixed.arrays)).tolist() == [0]


def test_leaked_rows_are_a_warning():
    snapshot = leaky()
    warning = next(finding for finding in judge(snapshot) if "source's own split" in finding.text)
    assert warning.severity == "warning"
    assert warning.text.startswith("3 rows")
    assert warning.examples == ("row 1 ('cat')", "row 2 ('dog')", "row 8 ('dog')")


# Pictures


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3)])
def test_pictures_of_one_colour_are_named_and_no_others(shape: tuple[int, ...]):
    x = snapshots.noise(60, *shape)
    x[5] = x[5].reshape(16, -1)[0]
    found = only(snapshots.pictures(x, Y))
    assert found.text.startswith("1 picture of 60 all of one colour")
    assert found.examples == ("row 6 ('dog')",)


def test_a_picture_with_one_other_pixel_is_not_of_one_colour():
    x = snapshots.noise(60, 4, 4)
    x[5] = 9
    x[5, 3, 3] = 10
    assert judge(snapshots.pictures(x, Y)) == []


def test_pictures_are_judged_in_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("components.dataset.CHUNK_BYTES", 16 * 7)
    x = snapshots.noise(60, 4, 4)
    x[[6, 7, 59]] = np.arange(3, dtype=np.uint8)[:, None, None]
    assert only(snapshots.pictures(x, Y)).examples == ("row 7 ('cat')", "row 8 ('dog')", "row 60 ('dog')")
