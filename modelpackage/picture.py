"""How an encoded picture becomes the array that a model takes: one function, for training and for serving.

The specification is data and stands in the package; Pillow does the work and is imported when it is needed. It refuses
what is no picture, damaged, or too large to decode.
"""

import io
import re
import struct
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from modelpackage.errors import PictureError
from modelpackage.signature import Frozen

if TYPE_CHECKING:
    from PIL.Image import Image

#: Beyond these a picture is refused before its pixels are decoded: four bytes a pixel must fit into memory.
MAX_BYTES = 100_000_000
MAX_PIXELS = 64 * 1024 * 1024
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
ORIENTATION = 0x0112
#: How Pillow calls the turn that makes each EXIF orientation upright.
TURNS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE",
    8: "ROTATE_90",
}  # fmt: skip
#: 16 bits to 8: 65535 becomes 255.
WHITE = 65535
SIXTEEN_TO_EIGHT = 257
PILLOW = re.compile(r"PIL\.")
Side = Annotated[int, Field(ge=1, le=4096)]
Level = Annotated[int, Field(ge=0, le=255)]


class Picture(Frozen):
    """What a picture is brought to.

    Attributes:
        height: In pixels.
        width: In pixels; pictures of another shape are stretched.
        colour: Three channels or one.
        resize: Bilinear with antialiasing: shrinking averages over all pixels that a new one covers.
        background: What shows through transparent pixels: red, green and blue.
    """

    height: Side
    width: Side
    colour: Literal["rgb", "grey"]
    resize: Literal["bilinear"] = "bilinear"
    background: tuple[Level, Level, Level] = (255, 255, 255)

    def shape(self) -> tuple[int, ...]:
        """Return the shape of the array: (height, width, 3) in colour, (height, width) in grey."""
        return (self.height, self.width, 3) if self.colour == "rgb" else (self.height, self.width)

    def decode(
        self, encoded: bytes, *, formats: Collection[str] = FORMATS, max_pixels: int = MAX_PIXELS
    ) -> NDArray[np.uint8]:
        """Return a picture's array, of :meth:`shape`.

        It is upright by its EXIF orientation, transparency is laid on the background, 16 bits are brought to 8, and of
        an animation it is the first frame.

        Args:
            encoded: JPEG, PNG, WebP, GIF, BMP, TIFF or PPM.
            formats: Which of these are read.
            max_pixels: How many pixels it may have.

        Raises:
            PictureError: It is none of these, damaged, or too large.
        """
        from PIL.Image import Resampling

        return np.asarray(
            self._opened(encoded, formats, max_pixels).resize((self.width, self.height), Resampling.BILINEAR)
        )

    def pixels(self, encoded: bytes) -> NDArray[np.uint8]:
        """Return a picture like :meth:`decode` but in its own size: whoever resizes it must do so in the same way.

        Raises:
            PictureError: As for :meth:`decode`.
        """
        return np.array(self._opened(encoded, FORMATS, MAX_PIXELS))

    def _opened(self, encoded: bytes, formats: Collection[str], max_pixels: int) -> "Image":
        with _reading(encoded, formats) as image:
            if image.width * image.height > max_pixels:
                raise PictureError(
                    f"the picture has more than {max_pixels} pixels, {image.width} x {image.height}; save it smaller"
                )
            return _flat(_upright(image), self.background, "RGB" if self.colour == "rgb" else "L")


def count_pixels(encoded: bytes, *, formats: Collection[str] = FORMATS) -> int:
    """Return how many pixels a picture says it has, without decoding any.

    Raises:
        PictureError: It is none of the formats, or its head is damaged.
    """
    with _reading(encoded, formats) as image:
        return image.width * image.height


@contextmanager
def _reading(encoded: bytes, formats: Collection[str]) -> "Iterator[Image]":
    """Open a picture; every fault of it, then and later, is a PictureError."""
    from PIL import Image

    if len(encoded) > MAX_BYTES:
        raise PictureError(f"the picture has {len(encoded)} bytes, the most is {MAX_BYTES}; save it smaller")
    _silence_pillow()
    try:
        with Image.open(io.BytesIO(encoded), formats=tuple(formats)) as image:
            yield image
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"the picture has more than {MAX_PIXELS} pixels; save it smaller") from error
    # Pillow's readers raise nearly anything on damaged input, struct.error and SyntaxError among it.
    except Exception as error:
        raise PictureError(f"the picture can't be decoded: it is damaged or none of {', '.join(formats)}") from error


def _silence_pillow() -> None:
    """Let Pillow not warn of large pictures and odd tags: what counts is decided here.

    The filter stays, since warnings.catch_warnings is not for threads, and decoding happens in many.
    """
    if ("ignore", None, Warning, PILLOW, 0) not in warnings.filters:
        warnings.filterwarnings("ignore", module=PILLOW.pattern)


def _upright(image: "Image") -> "Image":
    """Turn a picture as its EXIF orientation says; EXIF that can't be read says nothing."""
    from PIL.Image import Transpose

    image.load()  # of TIFF, Pillow turns the pixels itself and then forgets the orientation
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    except (struct.error, SyntaxError, ValueError, TypeError, KeyError, EOFError):
        return image
    return image.transpose(Transpose[turn]) if turn else image


def _flat(image: "Image", background: tuple[int, int, int], mode: str) -> "Image":
    """Bring any mode to RGB or L, 8 bits, without transparency."""
    from PIL import Image

    if image.mode == "F":
        raise PictureError("the picture holds floating-point values, which have no white; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        ground = Image.new("RGB", image.size, background)
        clear = image.convert("RGBA")
        ground.paste(clear, mask=clear)
        image = ground
    if image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: "Image") -> "Image":
    """Scale 16 bits to 8, which Pillow's own conversion would clip."""
    from PIL import Image

    values = np.asarray(image).astype(np.int32)
    if values.min() < 0 or values.max() > WHITE:
        raise PictureError(f"the picture holds values beyond 0 to {WHITE}; save it with 8 or 16 bits")
    return Image.fromarray(((values + SIXTEEN_TO_EIGHT // 2) // SIXTEEN_TO_EIGHT).astype(np.uint8))
