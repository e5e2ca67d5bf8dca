import base64

import numpy as np
import pytest
import tiny
import tiny_picture
import tiny_table

from serving.codec.instances import rewrite
from serving.codec.query import QueryReader
from serving.errors import InvalidInputError
from serving.settings import Limits

LIMITS = Limits(max_rows=4)
FILE = tiny_picture.encoded(tiny_picture.pixels(1)[0])
PICTURE = {"b64": base64.b64encode(FILE).decode()}


@pytest.fixture(scope="module")
def image(sealed):
    return QueryReader(sealed.descriptor, LIMITS)


@pytest.fixture(scope="module")
def table(table):
    return QueryReader(table.descriptor, LIMITS)


@pytest.fixture(scope="module")
def pictures(pictured):
    return QueryReader(pictured.descriptor, LIMITS)


def read(reader, instances, **more):
    return reader.read(rewrite({"instances": instances} | more, reader), "7")


@pytest.mark.parametrize(
    "instances",
    [
        [[[1, 2], [3, 4]], [[5, 6], [7, 8]]],
        [[1, 2, 3, 4], [5, 6, 7, 8]],
        [{"image": [[1, 2], [3, 4]]}, {"image": [[5, 6], [7, 8]]}],
        [{"image": [1, 2, 3, 4]}, {"image": [5, 6, 7, 8]}],
    ],
    ids=["nested", "flat", "named", "named and flat"],
)
def test_an_instance_is_the_only_input_or_named(image, instances):
    np.testing.assert_array_equal(read(image, instances).inputs["image"], np.arange(1, 9).reshape(2, 2, 2))


@pytest.mark.parametrize(
    "instances",
    [
        [{"age": 30, "visits": None, "town": "Zürich"}, {"town": None, "visits": 2, "age": 31.5}],
        [{"age": [30], "visits": [None], "town": ["Zürich"]}, {"age": [31.5], "visits": [2], "town": [""]}],
        [{"numbers": [30, None], "categories": ["Zürich"]}, {"numbers": [31.5, 2], "categories": [None]}],
    ],
    ids=["columns", "columns in lists", "inputs"],
)
def test_an_instance_of_a_table_names_columns_or_inputs(table, instances):
    query = read(table, instances)
    np.testing.assert_array_equal(query.inputs["numbers"], np.float32([[30, np.nan], [31.5, 2]]))
    assert query.inputs["categories"].tolist() == [["Zürich"], [""]]


@pytest.mark.parametrize("instances", [[PICTURE] * 2, [{"image": PICTURE}] * 2])
def test_an_encoded_picture_is_an_instance(pictures, instances):
    query = read(pictures, instances)
    assert (query.pictures, query.rows) == ([FILE, FILE], 2)


def test_the_bound_of_confidence_is_taken_along(image):
    assert read(image, [[1, 2, 3, 4]], parameters={"min_confidence": 0.5}).min_confidence == 0.5
    assert read(image, [[1, 2, 3, 4]], parameters=None).min_confidence is None


def test_the_id_is_taken_along_where_there_is_one(image):
    assert rewrite({"id": "7", "instances": [[1, 2, 3, 4]]}, image)["id"] == "7"
    assert "id" not in rewrite({"id": None, "instances": [[1, 2, 3, 4]]}, image)


def test_as_many_instances_as_rows_are_taken_and_no_more(image):
    assert read(image, tiny.rows(4).tolist()).rows == 4
    with pytest.raises(InvalidInputError, match="has 5 rows, the most is 4"):
        read(image, tiny.rows(5).tolist())


@pytest.mark.parametrize(
    "instances",
    [None, {}, "text", 1, [], [[]], [[1, 2, 3]], [[1, 2], [3]], [[[1, 2], [3]]], [None], ["a"], [1], [[1, 2, 3, "4"]],
     [{}], [{"x": 1}], [{"image": 1}], [{"image": [1, 2, 3, 4]}, {}], [{"image": [1, 2, 3, 4]}, [1, 2, 3, 4]],
     [[1, 2, 3, None]], [[1, 2, 3, True]], [[1, 2, 3, 17]], [PICTURE], [PICTURE, {"image": [1, 2, 3, 4]}], [{"b64": 1}],
     [{"image": {"b64": "x"}}, {"image": [1, 2, 3, 4]}]],
)  # fmt: skip
def test_instances_that_do_not_fit_are_refused(image, instances):
    with pytest.raises(InvalidInputError) as caught:
        read(image, instances)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ([[30, 1, "Zürich"]], "give each instance as an object with numbers, categories"),
        ([{"age": 30}], "columns are missing: 'town', 'visits'"),
        ([{"age": 30, "visits": 1, "town": "a"}, {"age": 30}], "the instances differ in their names"),
        ([{"age": "30", "visits": 1, "town": "a"}], "input 'age' holds a string"),
        ([{"age": 30, "visits": 1, "town": 5}], "input 'town' holds a number"),
        ([{"age": 30, "visits": 1, "town": "a", "x": 1}], "there is no input 'x'"),
        ([{"age": [30, 31], "visits": [1], "town": ["a"]}], "holds a list"),
        ([{"numbers": [1, 2], "town": "a"}], "inputs and columns are mixed; give either all inputs or all columns"),
    ],
)
def test_an_instance_of_a_table_that_does_not_fit_is_refused(table, instances, message):
    with pytest.raises(InvalidInputError, match=message):
        read(table, instances)


@pytest.mark.parametrize("instances", [[PICTURE, 1], [{"b64": 5}], [{"b64": "é"}], [{"b64": [PICTURE]}]])
def test_what_is_no_encoded_picture_is_refused(pictures, instances):
    with pytest.raises(InvalidInputError):
        read(pictures, instances)


def test_all_rows_of_the_table_are_what_v2_makes_of_them(table):
    numbers = [[None if np.isnan(value) else float(value) for value in row] for row in tiny_table.NUMBERS]
    instances = [
        {"age": age, "visits": visits, "town": town}
        for (age, visits), (town,) in zip(numbers, tiny_table.TEXT.tolist(), strict=True)
    ]
    query = read(table, instances)
    np.testing.assert_array_equal(query.inputs["numbers"], tiny_table.NUMBERS)
    np.testing.assert_array_equal(query.inputs["categories"], tiny_table.TEXT)
