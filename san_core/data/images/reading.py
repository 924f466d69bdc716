"""Reads image files of any kind as upright RGB pixels."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from san_core.data.images.folder import same_but_for_unicode
from san_core.data.images.formats import decoding, open_image
from san_core.data.images.grey_values import Range, is_deep, own_range, read_values, stated_range, to_eight_bits
from san_core.errors import InputError
from san_core.file_kinds import kind_of_content
from san_core.files import path_from_home, read_bytes

NEARLY_BLACK, NEARLY_WHITE = "picture is nearly black", "picture is nearly white"

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

AnyImage = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.uint8]
"""What is taken as an image, see `as_picture`."""

_ACCEPTED = (
    "the path, the bytes or a binary file object of an image file, an image opened with Pillow, or a uint8 array "
    "[height, width, 3]"
)

_DARK, _NEARLY_ALL, _SAMPLE_EDGE = 8, 0.99, 64


@dataclass(frozen=True)
class Picture:
    """An image as a person sees it.

    Attributes:
        image: upright, RGB.
        remarks: changes that were made to get an upright RGB image.
    """

    image: Image.Image
    remarks: tuple[str, ...] = ()


def open_picture(path: Path, at_least: int | None = None, grey_range: Range | None = None) -> Picture:
    """Reads an image, turns it upright by its EXIF data, and converts it to RGB.

    Palette and CMYK images are converted; transparent pixels become white. Grey images of more than 8 bits are scaled
    by the range that their file states, or else by `grey_range`.

    Args:
        path: path of the file.
        at_least: smallest size in pixels of either edge. A JPEG may then be decoded at 1/2, 1/4 or 1/8 of its size,
            which takes a fraction of the time. None keeps all pixels.
        grey_range: the values that become black and white; None for the smallest and largest of the image.

    Raises:
        InputError: if the file is missing, incomplete, not an image that can be read here, or has more than
            `MAX_PIXELS` pixels.
    """
    return _decode(f"image {path}", _read(path), at_least, grey_range)


def as_picture(image: AnyImage, at_least: int | None = None, grey_range: Range | None = None) -> Picture:
    """Reads an image as `open_picture` does, whichever way it is given.

    Args:
        image: the path, the bytes or a binary file object of an image file, an image that Pillow has opened, or
            pixels [height, width, 3], RGB, uint8.
        at_least: see `open_picture`.
        grey_range: see `open_picture`.

    Raises:
        InputError: if it is none of these, and see `open_picture`.
    """
    if isinstance(image, str | os.PathLike):
        return open_picture(path_from_home(Path(image)), at_least, grey_range)
    if isinstance(image, Image.Image):
        with _reading(f"image {getattr(image, 'filename', '') or 'given'}"):
            return _upright(image, b"", None, grey_range)
    if isinstance(image, np.ndarray):
        return Picture(_from_pixels(image))
    return _decode("image given", _content(image), at_least, grey_range)


def _from_pixels(pixels: NDArray[Any]) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(f"image is an array of {pixels.dtype} of shape {list(pixels.shape)}; accepted: {_ACCEPTED}")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _content(image: object) -> bytes:
    """The bytes of an image file that is given by them, or as a file object, which is read from its start."""
    content: object = image
    if hasattr(image, "read"):
        try:
            if hasattr(image, "seekable") and image.seekable():
                image.seek(0)  # type: ignore[attr-defined]
            content = image.read()
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise InputError(f"image given cannot be read: {error}") from error
    if not isinstance(content, bytes | bytearray | memoryview):
        shape = f" of shape {list(image.shape)}" if hasattr(image, "shape") else ""
        what = "a file object of text" if isinstance(content, str) else f"{type(image).__name__}{shape}"
        raise InputError(f"image is {what}; accepted: {_ACCEPTED}")
    if not content:
        raise InputError("image given cannot be read: it is empty")
    return bytes(content)


def unstated_range(path: Path) -> Range | None:
    """The range of the values of a grey image of more than 8 bits whose file states none; None for any other image.

    Raises:
        InputError: see `open_picture`.
    """
    content = _read(path)
    with _reading(f"image {path}", content), open_image(content) as image, decoding(image):
        if not is_deep(image):
            return None
        image.load()
        values = read_values(image)
        return own_range(values) if stated_range(image, values, content) is None else None


def _read(path: Path) -> bytes:
    try:
        content = read_bytes(same_but_for_unicode(path))
    except InputError as error:
        raise InputError(f"image {error}") from error
    if not content:
        raise InputError(f"image {path} cannot be read: it is empty")
    return content


def _decode(what: str, content: bytes, at_least: int | None, grey_range: Range | None) -> Picture:
    with _reading(what, content), open_image(content) as image:
        return _upright(image, content, at_least, grey_range)


@contextmanager
def _reading(what: str, content: bytes = b"") -> Iterator[None]:
    """Replaces any error that Pillow raises for an image by an InputError."""
    try:
        yield
    except UnidentifiedImageError as error:
        kind = kind_of_content(content) or "in no format known here"
        raise InputError(f"{what} cannot be read: it is {kind}") from error
    except Image.DecompressionBombError as error:  # a part of the file, such as a tile
        raise InputError(f"{what} has too many pixels: {error}") from error
    except (InputError, OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error) as error:
        raise InputError(f"{what} cannot be read: {' '.join(str(error).split())}") from error


def _upright(image: Image.Image, content: bytes, at_least: int | None, grey_range: Range | None) -> Picture:
    exif = image.getexif()  # before decoding: that closes the file of a TIFF, and turns its pixels
    remarks = ["turned as its EXIF data say"] if exif.get(ExifTags.Base.Orientation) in _UPRIGHT else []
    if at_least is not None:
        image.draft(None, (at_least, at_least))
    with decoding(image):
        image.load()
        if is_deep(image):
            shown, remark = _scaled(image, content, grey_range)
            remarks.append(remark)
        else:
            shown = image
            remarks += [f"mode {image.mode} converted to RGB"] if image.mode != "RGB" else []
        turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
        rgb = _to_rgb(shown)
        return Picture(rgb if turn is None else rgb.transpose(turn), tuple(remarks))


def _scaled(image: Image.Image, content: bytes, grey_range: Range | None) -> tuple[Image.Image, str]:
    """A grey image of more than 8 bits as one of 8 bits, and a remark on how it was scaled."""
    values = read_values(image)
    if stated := stated_range(image, values, content):
        by = "the range that its file states"
    elif grey_range:
        by = f"the range of the data set, {grey_range[0]:g} to {grey_range[1]:g}"
    else:
        by = "its own range"
    grey = to_eight_bits(image, values, stated or grey_range or own_range(values))
    return grey, f"mode {image.mode} converted to RGB by {by}"


def load_pixels(path: Path, size: int, grey_range: Range | None = None) -> NDArray[np.uint8]:
    """Reads an image resized to `size` x `size` pixels: RGB, uint8 [size, size, 3].

    Raises:
        InputError: see `open_picture`.
    """
    return to_pixels(open_to_resize(path, size, grey_range), size)


def open_to_resize(image: AnyImage, size: int, grey_range: Range | None = None) -> Picture:
    """Reads an image with as many pixels as `to_pixels` needs: twice `size` along an edge, so that resizing averages.

    Raises:
        InputError: see `open_picture`.
    """
    return as_picture(image, _REDUCING_GAP * size, grey_range)


def to_pixels(picture: Picture, size: int) -> NDArray[np.uint8]:
    """Resizes an image to `size` x `size` pixels: RGB, uint8 [size, size, 3]."""
    return np.asarray(picture.image.resize((size, size), Image.Resampling.BICUBIC))


def brightness_remark(pixels: NDArray[np.uint8]) -> str | None:
    """Says so if nearly all of the pixels [S, S, 3] are black or white; a sample of about 64 x 64 decides.

    A pixel is white if all its colours are bright. A small shape in a light colour, dark in one of three, is none.
    """
    step = max(1, len(pixels) // _SAMPLE_EDGE)
    sample = pixels[::step, ::step]
    for remark, extreme in ((NEARLY_BLACK, sample <= _DARK), (NEARLY_WHITE, sample >= 255 - _DARK)):
        if extreme.all(axis=2).mean() >= _NEARLY_ALL:
            return remark
    return None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        opaque = image.convert("RGBA")
        background = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(background, opaque).convert("RGB")
    return image.convert("RGB")
