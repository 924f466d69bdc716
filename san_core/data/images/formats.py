"""Opens image files by their content, up to a size of our own, without changing any setting of Pillow."""

import io
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import cast

from PIL import Image, ImageFile, UnidentifiedImageError

from san_core.errors import InputError

MAX_PIXELS = 500_000_000
"""Most pixels of an image that is read: about 2 GB in memory. One with more is taken for a mistake or an attack."""

_LARGE = 32_000_000
"""Images with more pixels are decoded one at a time, since threads would need gigabytes together."""

_one_large = threading.Lock()

# Brands in the first bytes of files in the HEIF container, see ISO/IEC 23008-12 (HEIC) and AVIF's specification.
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
_AVIF = {b"avif", b"avis"}

_NOT_THIS_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)


def open_image(content: bytes) -> ImageFile.ImageFile:
    """Opens an image by its content, as Pillow's `Image.open` does; its pixels are not decoded yet.

    `Image.open` refuses more pixels than a global setting of Pillow allows, or warns of them, which only a change for
    the whole program can prevent. Here the same drivers are called, with `MAX_PIXELS` as the limit. HEIC is read with
    pillow-heif if it is installed.

    Args:
        content: content of the file.

    Raises:
        InputError: if the image has too many pixels, or its format needs another package.
        UnidentifiedImageError: if it is in no known format.
        OSError, ValueError, EOFError: if it is damaged.
    """
    image = _open_heic(content) if _brand(content) == "HEIC" and "HEIF" not in Image.OPEN else _open_known(content)
    if image is None and _brand(content) == "AVIF":
        raise InputError("it is AVIF, which this Pillow cannot read; install a newer one with: pip install -U pillow")
    if image is None:
        raise UnidentifiedImageError
    if image.width * image.height > MAX_PIXELS:
        width, height = image.size
        image.close()
        raise InputError(f"it has {width:,} x {height:,} pixels; accepted: up to {MAX_PIXELS:,} in all")
    return image


@contextmanager
def decoding(image: Image.Image) -> Iterator[None]:
    """Lets no two threads decode large images at the same time."""
    if image.width * image.height <= _LARGE:
        yield
        return
    with _one_large:
        yield


def _open_known(content: bytes) -> ImageFile.ImageFile | None:
    """Tries the drivers of Pillow: first those of frequent formats, then the others, which are then imported."""
    tried: set[str] = set()
    for register in (Image.preinit, Image.init):
        register()
        for name in [name for name in Image.ID if name not in tried]:
            tried.add(name)
            opener, accepts = Image.OPEN[name]
            with suppress(*_NOT_THIS_FORMAT):
                accepted = not accepts or accepts(content[:16])  # some of Pillow's fail for fewer bytes
                if accepted and not isinstance(accepted, str):  # a text says why it cannot be read here
                    return opener(io.BytesIO(content), "")
    return None


def _open_heic(content: bytes) -> ImageFile.ImageFile:
    try:
        heif = import_module("pillow_heif")
    except ImportError as error:
        raise InputError(
            "it is HEIC, whatever its name; install what reads it with: pip install pillow-heif"
        ) from error
    return cast(ImageFile.ImageFile, heif.HeifImageFile(io.BytesIO(content)))


def _brand(content: bytes) -> str:
    """HEIC or AVIF, if the first bytes of a file say so; else empty."""
    if content[4:8] != b"ftyp":
        return ""
    size = int.from_bytes(content[:4], "big")
    brands = {content[8:12], *(content[start : start + 4] for start in range(16, min(size, 256), 4))}
    if brands & _AVIF:
        return "AVIF"
    return "HEIC" if brands & _HEIC else ""
