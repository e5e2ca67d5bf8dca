import base64
import io

import numpy as np
import pytest
import tiny_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modelpackage import Tensor
from serving.codec.binary import raw_texts
from serving.codec.pictures import decode, encoded
from serving.errors import ExpiredError, InvalidInputError
from serving.settings import Limits

TENSOR = tiny_picture.SIGNATURE.inputs[0]
PIXELS = tiny_picture.pixels(2, seed=1)
FILES = [tiny_picture.encoded(pixels) for pixels in PIXELS]
TEXTS = [base64.b64encode(content).decode() for content in FILES]
LIMITS = Limits(max_rows=4)


def item(data, shape=None):
    return {"name": "image", "datatype": "BYTES", "shape": [len(data)] if shape is None else shape, "data": data}


def rows(files, max_pixels=1000, **changes):
    return decode(tiny_picture.PICTURE, TENSOR, files, max_pixels, **changes)


@pytest.mark.parametrize(
    "given_item",
    [
        item(TEXTS),
        item(TEXTS, [2, 1]),
        item([[text] for text in TEXTS], [2, 1]),
        item(FILES),
        item(raw_texts(FILES), [2]),
        item(memoryview(raw_texts(FILES)), [2, 1]),
    ],
    ids=["base64", "a column", "nested", "bytes", "raw", "raw column"],
)
def test_pictures_arrive_as_the_files_that_were_sent(given_item):
    assert encoded(TENSOR, given_item, LIMITS) == FILES


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_decoded_as_training_does(form):
    files = [tiny_picture.encoded(pixels, form, scale=3) for pixels in PIXELS]
    found = rows(files)
    assert (found.dtype, found.shape) == (np.uint8, PIXELS.shape)
    np.testing.assert_array_equal(found, [tiny_picture.PICTURE.decode(content) for content in files])


def test_a_picture_without_loss_and_of_the_models_size_is_its_pixels():
    np.testing.assert_array_equal(rows(FILES), PIXELS)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_refused(form):
    with pytest.raises(InvalidInputError, match="picture 2 of input 'image': the picture can't be decoded"):
        rows([FILES[0], tiny_picture.encoded(PIXELS[1], form)])


@pytest.mark.parametrize("content", [b"", b"x", FILES[0][:-40], FILES[0][:8], b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_whole_picture_is_refused(content):
    with pytest.raises(InvalidInputError, match="picture 1 of input 'image'"):
        rows([content])


def test_a_picture_has_as_many_pixels_as_allowed_and_no_more():
    assert rows([FILES[0]], max_pixels=15).shape == (1, 5, 3, 3)
    with pytest.raises(InvalidInputError, match="have more than 14 pixels; send fewer or smaller"):
        rows([FILES[0]], max_pixels=14)


def test_the_pictures_of_a_request_share_its_pixels():
    assert len(rows([FILES[0]] * 3, max_pixels=45)) == 3
    with pytest.raises(InvalidInputError, match="have more than 44 pixels"):
        rows([FILES[0]] * 3, max_pixels=44)


def test_the_work_ends_between_two_pictures_where_nobody_waits_for_it():
    worked = []

    def go_on():
        worked.append(len(worked))
        if len(worked) == 3:
            raise ExpiredError("over")

    with pytest.raises(ExpiredError):
        rows([FILES[0]] * 5, go_on=go_on)
    assert worked == [0, 1, 2]


def test_a_bomb_is_refused_by_its_head():
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    with pytest.raises(InvalidInputError, match="pixels"):
        rows([bomb.getvalue()], max_pixels=16_000_000)


def test_pixels_beyond_the_models_bounds_are_refused_like_numbers():
    dark = Tensor(name="image", datatype="UINT8", shape=(5, 3, 3), maximum=16.0)
    with pytest.raises(InvalidInputError, match="the largest value is 16"):
        decode(tiny_picture.PICTURE, dark, [tiny_picture.encoded(np.full((5, 3, 3), 17, np.uint8))], 1000)


@pytest.mark.parametrize(
    ("given_item", "message"),
    [
        (item(TEXTS, [3]), "does not fill its shape"),
        (item(TEXTS, [2, True]), r"its shape is \[number of pictures\]"),
        (item(TEXTS, [2, 1.0]), r"its shape is \[number of pictures\]"),
        (item(TEXTS, [True]), r"its shape is \[number of pictures\]"),
        (item([], [0]), r"its shape is \[number of pictures\]"),
        (item(TEXTS, [2, 5, 3, 3]), r"its shape is \[number of pictures\]"),
        (item(TEXTS, "2"), r"its shape is \[number of pictures\]"),
        (item(TEXTS * 3), "has 6 rows, the most is 4"),
        (item("text", [1]), "give 'data' as a list of base64 texts"),
        (item(None, [1]), "give 'data' as a list of base64 texts"),
        (item([1]), "holds a number; give each picture as a base64 text"),
        (item([None]), "holds null"),
        (item([TEXTS[0][:-1]]), "a text that is no base64"),
        (item([TEXTS[0] + "\n"]), "a text that is no base64"),
        (item(["é"]), "a text that is no base64"),
        (item([TEXTS[0], [TEXTS[1]]]), "holds a list"),
        (item(raw_texts(FILES)[:-1], [2]), "which are not 2 elements"),
        (item(raw_texts(FILES) + b"\0", [2]), "which are not 2 elements"),
        (item(raw_texts(FILES), [1]), "which are not 1 elements"),
        (item(b"\xff\xff\xff\xff", [1]), "which are not 1 elements"),
    ],
)
def test_what_does_not_hold_pictures_is_refused_with_the_reason(given_item, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        encoded(TENSOR, given_item, LIMITS)
    assert len(str(caught.value)) < 200


def test_pictures_count_as_the_values_that_they_become():
    with pytest.raises(InvalidInputError, match="has 90 values, the most is 89"):
        encoded(TENSOR, item(TEXTS), Limits(max_elements=89))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_picture_is_a_picture_or_refused(form, place, value):
    content = bytearray(tiny_picture.encoded(PIXELS[0], form, scale=2))
    content[place % len(content)] = value
    try:
        assert rows([bytes(content)]).shape == (1, 5, 3, 3)
    except InvalidInputError as error:
        assert len(str(error)) < 300  # noqa: PT017  # either outcome is right, an error must be short
