"""Reads image files of any kind as upright RGB pixels."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from san_core.errors import InputError
from san_core.files import read_bytes

# An image with more pixels than Pillow's limit is more likely an attack or a mistake than a photograph.
warnings.simplefilter("error", Image.DecompressionBombWarning)

# The operation that undoes each EXIF orientation. Pillow's exif_transpose also rewrites the EXIF data, which fails if
# they are damaged.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_REDUCING_GAP = 2
"""A JPEG is decoded at least this many times as large as it will be; the value of Pillow's `thumbnail`."""


@dataclass(frozen=True)
class Picture:
    """An image as a person sees it.

    Attributes:
        image: upright, RGB.
        remarks: changes that were made to get an upright RGB image.
    """

    image: Image.Image
    remarks: tuple[str, ...] = ()


def open_picture(path: Path, at_least: int | None = None) -> Picture:
    """Reads an image, turns it upright by its EXIF data, and converts it to RGB.

    Grey, palette, CMYK and 16-bit images are converted; transparent pixels become white.

    Args:
        path: path of the file.
        at_least: smallest size in pixels of either edge. A JPEG may then be decoded at 1/2, 1/4 or 1/8 of its size,
            which takes a fraction of the time. None keeps all pixels.

    Raises:
        InputError: if the file is missing, incomplete, not an image that Pillow can read, or has more pixels than
            Pillow's limit against decompression bombs.
    """
    try:
        content = read_bytes(path)
    except InputError as error:
        raise InputError(f"image {error}") from error
    if not content:
        raise InputError(f"image {path} cannot be read: it is empty")
    with _reading(f"image {path}"), Image.open(io.BytesIO(content)) as image:
        return _upright(image, at_least)


def as_picture(image: str | Path | Image.Image) -> Picture:
    """Reads an image file, or converts an image that Pillow has opened, as `open_picture` does.

    Raises:
        InputError: see `open_picture`.
    """
    if not isinstance(image, Image.Image):
        return open_picture(Path(image))
    with _reading(f"image {getattr(image, 'filename', '') or 'given'}"):
        return _upright(image)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Replaces any error that Pillow raises for an image by an InputError."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise InputError(f"{what} cannot be read: it is in no format known here") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{what} has too many pixels: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise InputError(f"{what} cannot be read: {error}") from error


def _upright(image: Image.Image, at_least: int | None = None) -> Picture:
    exif = image.getexif()  # before decoding: that closes the file of a TIFF, and turns its pixels
    needs_turning = exif.get(ExifTags.Base.Orientation) in _UPRIGHT
    if at_least is not None:
        image.draft(None, (at_least, at_least))
    image.load()
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    upright = image if turn is None else image.transpose(turn)
    remarks = (["turned as its EXIF data say"] if needs_turning else []) + (
        [f"mode {image.mode} converted to RGB"] if image.mode != "RGB" else []
    )
    return Picture(_to_rgb(upright), tuple(remarks))


def load_pixels(path: Path, size: int) -> NDArray[np.uint8]:
    """Reads an image resized to `size` x `size` pixels: RGB, uint8 [size, size, 3].

    Raises:
        InputError: see `open_picture`.
    """
    return to_pixels(open_to_resize(path, size), size)


def open_to_resize(path: Path, size: int) -> Picture:
    """Reads an image with as many pixels as `to_pixels` needs: twice `size` along an edge, so that resizing averages.

    Raises:
        InputError: see `open_picture`.
    """
    return open_picture(path, at_least=_REDUCING_GAP * size)


def to_pixels(picture: Picture, size: int) -> NDArray[np.uint8]:
    """Resizes an image to `size` x `size` pixels: RGB, uint8 [size, size, 3]."""
    return np.asarray(picture.image.resize((size, size), Image.Resampling.BICUBIC))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would clip them at 255
        return Image.fromarray((np.asarray(image).astype(np.int64) // 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        opaque = image.convert("RGBA")
        background = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(background, opaque).convert("RGB")
    return image.convert("RGB")
