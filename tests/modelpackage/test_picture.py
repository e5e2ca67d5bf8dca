"""Any common picture becomes the array that the model takes: upright, opaque, eight bits."""

import io
import struct
import subprocess
import sys
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modelpackage import Picture, PictureError, picture

RGB = Picture(height=6, width=9, colour="rgb")
GREY = Picture(height=6, width=9, colour="grey")
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png(depth: int, colour: int, width: int, height: int, rows: bytes) -> bytes:
    """A PNG of any depth: Pillow can't write 16 bits of colour."""
    parts = {b"IHDR": struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0), b"IDAT": zlib.compress(rows)}
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in {**parts, b"IEND": b""}.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack(
        [rows * 255 // height, columns * 255 // width, (rows + columns) * 255 // (height + width)], -1
    ).astype(np.uint8)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "GIF"])
def test_formats_without_loss_give_their_pixels(form):
    image = Image.fromarray(PIXELS)
    options = {"lossless": True} if form == "WEBP" else {}
    if form == "GIF":
        image = image.quantize(54)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(RGB.decode(encoded(image, form, **options)), expected)


def test_a_jpeg_gives_about_its_pixels():
    pixels = smooth(6, 9)
    found = RGB.decode(encoded(Image.fromarray(pixels), "JPEG", quality=98, subsampling=0))
    assert np.abs(found.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("spec", [RGB, GREY])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_every_mode_has_the_shape_and_type_that_the_model_takes(mode, spec):
    image = (
        Image.fromarray(np.arange(54, dtype=np.uint16).reshape(6, 9))
        if mode == "I;16"
        else Image.fromarray(PIXELS).convert(mode)
    )
    found = spec.decode(encoded(image))
    assert (found.shape, found.dtype) == (spec.shape(), np.uint8)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_jpegs_of_other_colour_spaces_are_brought_to_rgb(mode):
    pixels = smooth(6, 9)
    found = RGB.decode(encoded(Image.fromarray(pixels).convert(mode), "JPEG", quality=98, subsampling=0))
    assert np.abs(found.astype(int) - pixels).mean() < 8


def test_sixteen_bits_are_scaled_and_not_clipped():
    levels = np.linspace(0, 65535, 54).astype(np.uint16).reshape(6, 9)
    found = GREY.decode(encoded(Image.fromarray(levels)))
    np.testing.assert_allclose(found, levels / 257, atol=0.51)
    assert (found.min(), found.max()) == (0, 255)


def test_sixteen_bits_of_colour_and_of_transparency_are_brought_to_eight():
    levels = np.linspace(0, 65535, 54 * 3).astype(">u2").reshape(6, 54 // 6 * 3)
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    np.testing.assert_allclose(RGB.decode(png(16, 2, 9, 6, rows)), levels.reshape(6, 9, 3) / 257, atol=1)
    clear = struct.pack(">BHH", 0, 1000, 0)
    assert RGB.decode(png(16, 4, 1, 1, clear)).max() == 255


@pytest.mark.parametrize("value", [-1, 65536])
def test_integers_beyond_sixteen_bits_have_no_white_and_are_refused(value):
    with pytest.raises(PictureError, match="beyond 0 to 65535"):
        GREY.decode(encoded(Image.fromarray(np.full((6, 9), value, np.int32)), "TIFF"))


def test_ycck_jpegs_are_brought_to_rgb():
    pixels = smooth(6, 9)
    inverted = Image.fromarray(255 - pixels).convert("YCbCr")
    planes = [Image.fromarray(255 - np.asarray(plane)) for plane in inverted.split()]
    raw = encoded(Image.merge("CMYK", [*planes, Image.new("L", (9, 6), 0)]), "JPEG", quality=98, subsampling=0)
    transform = raw.index(b"Adobe") + 11
    found = RGB.decode(raw[:transform] + b"\x02" + raw[transform + 1 :])
    assert np.abs(found.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("form", ["GIF", "MPO", "PNG", "TIFF", "WEBP"])
def test_of_many_frames_the_first_counts(form):
    first, second = Image.new("RGB", (9, 6), (200, 0, 0)), Image.new("RGB", (9, 6), (0, 0, 200))
    found = RGB.decode(encoded(first, form, save_all=True, append_images=[second]))
    assert np.abs(found.astype(int) - [200, 0, 0]).max() <= 3


def test_what_is_transparent_shows_the_background():
    image = Image.new("RGBA", (9, 6), (10, 20, 30, 0))
    assert (RGB.decode(encoded(image)) == 255).all()
    red = RGB.model_copy(update={"background": (200, 0, 0)})
    assert (red.decode(encoded(image)) == [200, 0, 0]).all()
    half = Image.new("RGBA", (9, 6), (0, 0, 0, 128))
    assert (RGB.decode(encoded(half)) == 127).all()


def test_a_palette_with_a_transparent_colour_shows_the_background():
    image = Image.new("P", (9, 6), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((0, 0), 1)
    found = RGB.decode(encoded(image, transparency=0))
    assert found[0, 0].tolist() == [255, 0, 0]
    assert (found[1:] == 255).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_by_its_exif_orientation(orientation, form):
    turns = {
        1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: np.rot90(np.fliplr(x), 1),
        6: lambda x: np.rot90(x, 1), 7: lambda x: np.rot90(np.fliplr(x), -1), 8: lambda x: np.rot90(x, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](PIXELS)))
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    np.testing.assert_array_equal(RGB.decode(encoded(stored, form, exif=exif, **options)), PIXELS)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\xff\0\0\0"])
def test_exif_that_cannot_be_read_says_nothing(exif, form):
    np.testing.assert_array_equal(
        RGB.decode(encoded(Image.fromarray(PIXELS), form, exif=exif)),
        RGB.decode(encoded(Image.fromarray(PIXELS), form)),
    )


def test_what_pillow_warns_of_is_decoded_without_a_warning():
    odd = encoded(
        Image.fromarray(PIXELS), exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\0\0\0\0\x10\0\0\0\0\0\0"
    )
    with pytest.warns(UserWarning, match="corrupt EXIF|Tag data larger"), Image.open(io.BytesIO(odd)) as image:
        dict(image.getexif())
    np.testing.assert_array_equal(RGB.decode(odd), PIXELS)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 60), st.integers(1, 60))
def test_resizing_is_pillows_own_with_antialiasing(height, width):
    pixels = np.random.default_rng(height * 61 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize((9, 6), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(RGB.decode(encoded(Image.fromarray(pixels))), np.asarray(expected))


def test_shrinking_averages_what_it_covers():
    board = np.indices((60, 90)).sum(axis=0) % 2 * 255
    found = GREY.decode(encoded(Image.fromarray(board.astype(np.uint8))))
    assert (np.abs(found.astype(int) - 127) <= 3).all()


GOOD = encoded(Image.fromarray(smooth(40, 40)), "JPEG")


@pytest.mark.parametrize(
    "raw",
    [b"", b"hello", GOOD[:200], GOOD[: len(GOOD) // 2], b"%PDF-1.4", encoded(Image.fromarray(PIXELS))[:60], b"<svg/>"],
    ids=["nothing", "text", "head", "half", "pdf", "half a png", "svg"],
)
def test_what_is_no_whole_picture_is_refused(raw):
    with pytest.raises(PictureError, match="the picture can't be decoded"):
        RGB.decode(raw)


def test_other_formats_are_not_even_opened():
    with pytest.raises(PictureError):
        RGB.decode(encoded(Image.fromarray(PIXELS), "PDF"))


def test_floating_point_pictures_have_no_white_and_are_refused():
    with pytest.raises(PictureError, match="floating-point"):
        GREY.decode(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


def test_too_many_bytes_or_pixels_are_refused_before_they_are_decoded(monkeypatch):
    with pytest.raises(PictureError, match="more than 1599 pixels, 40 x 40"):
        RGB.decode(GOOD, max_pixels=1599)
    monkeypatch.setattr(picture, "MAX_BYTES", 100)
    with pytest.raises(PictureError, match="bytes, the most is 100"):
        RGB.decode(GOOD)


@pytest.mark.parametrize("side", [9_500, 60_000])
def test_a_bomb_is_refused_by_what_its_head_claims(side):
    with pytest.raises(PictureError, match=r"more than \d+ pixels.*; save it smaller"):
        RGB.decode(png(8, 2, side, side, b""))


def test_the_contract_does_without_pillow_until_a_picture_is_decoded():
    code = "import sys, modelpackage; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(deadline=None)
@given(st.binary(max_size=300) | st.binary(max_size=30).map(lambda tail: GOOD[:300] + tail))
def test_no_bytes_end_in_anything_but_pixels_or_a_refusal(raw):
    with suppress(PictureError):
        assert RGB.decode(raw).shape == (6, 9, 3)
