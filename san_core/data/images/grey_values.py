"""Scales grey images of more than 8 bits, as CT scanners and microscopes write them, to 8 bits."""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Range = tuple[float, float]
"""The values that become black and white."""

_SCALED_BY_PILLOW = {"PPM", "JPEG2000"}  # to 16 bits, by the number of bits that the file states
_SIXTEEN_BITS = (0.0, 65535.0)

# Numbers of TIFF tags, see the TIFF 6.0 specification.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_LIMITS = ((340, 341), (280, 281))  # SMin- and SMaxSampleValue, Min- and MaxSampleValue
_WHITE_IS_ZERO, _UNSIGNED = 0, 1

_OUTLIERS = 0.1
"""Percentage of an image's values at either end that its range may leave out, as for a pixel that is always white."""

_SAMPLES = 1_000_000
_ROWS_AT_A_TIME = 256


def is_deep(image: Image.Image) -> bool:
    """Whether an image is grey with more than 8 bits: whole numbers or floating-point ones."""
    return image.mode.startswith("I") or image.mode == "F"


def read_values(image: Image.Image) -> NDArray[Any]:
    """The values [H, W] of an image for which `is_deep` holds."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    unsigned = _bits(tags) == 32 and _first(tags, _SAMPLE_FORMAT) in {None, _UNSIGNED}
    return values.view(np.uint32) if unsigned and values.dtype == np.int32 else values


def stated_range(image: Image.Image, values: NDArray[Any], content: bytes) -> Range | None:
    """The range that an image file states for its values; None if it states none.

    It is stated by the limits or the number of bits in a TIFF file, by the number of bits in PGM and JPEG 2000, and by
    significant bits (sBIT) in a PNG file whose values were not scaled to 16 bits, as the standard asks for. That values
    of 16 bits may have 16 bits says nothing: many programs write it for 12 bits too.

    Args:
        image: the image, as Pillow opened it.
        values: its values.
        content: content of its file; empty if it is not known.
    """
    if image.format in _SCALED_BY_PILLOW:
        return _SIXTEEN_BITS
    if image.format == "PNG":
        bits = _significant_bits(content)
        not_scaled = 8 < bits < 16 and values.max() < 2**bits and np.any(values % 2 ** (16 - bits))
        return (0.0, 2.0**bits - 1) if not_scaled else None
    tags = getattr(image, "tag_v2", {})
    bits = _bits(tags)
    for smallest, largest in _LIMITS:
        low, high = _first(tags, smallest) or 0.0, _first(tags, largest)
        if high is not None and low < high != 2**bits - 1:
            return low, high
    return (0.0, 2.0**bits - 1) if 8 < bits < 16 else None


def own_range(values: NDArray[Any]) -> Range | None:
    """The smallest and largest of the values, but for 0.1 % at either end; None if no value is finite."""
    sample = values.reshape(-1)[:: max(1, values.size // _SAMPLES)]
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return None
    return (
        float(np.percentile(finite, _OUTLIERS, method="lower")),
        float(np.percentile(finite, 100 - _OUTLIERS, method="higher")),
    )


def widest(ranges: Iterable[Range | None]) -> Range | None:
    """The range from the smallest to the largest value of several; None if there are none."""
    known = [found for found in ranges if found is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def to_eight_bits(image: Image.Image, values: NDArray[Any], scale: Range | None) -> Image.Image:
    """Scales values [H, W] to a grey image of 8 bits: the range to 0 to 255, and what is beyond it to its ends.

    A TIFF file in which 0 is white is inverted, as Pillow does for 8 bits. A value that is not a number is black.
    """
    low, high = scale or (0.0, 0.0)
    factor = 255 / (high - low) if high > low else 0.0
    grey = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _ROWS_AT_A_TIME):  # the floating-point values of all would be large
        rows = values[start : start + _ROWS_AT_A_TIME].astype(np.float64)
        rows = (np.nan_to_num(rows, copy=False, nan=low, posinf=high, neginf=low) - low) * factor
        grey[start : start + _ROWS_AT_A_TIME] = np.rint(rows.clip(0, 255, out=rows), out=rows)
    if _first(getattr(image, "tag_v2", {}), _PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    return Image.fromarray(grey)


def _significant_bits(content: bytes) -> int:
    """The number of significant bits that a PNG file of one channel states in its sBIT chunk; 0 if it has none."""
    start = content.find(b"sBIT", 0, max(0, content.find(b"IDAT")))
    return content[start + 4] if start > 0 else 0


def _bits(tags: Mapping[int, object]) -> int:
    return int(_first(tags, _BITS_PER_SAMPLE) or 0)


def _first(tags: Mapping[int, object], number: int) -> float | None:
    """The first value of a TIFF tag as a number; None if the file has none, or it is not a finite number."""
    value = tags.get(number)
    value = value[0] if isinstance(value, tuple) and value else value
    with suppress(TypeError, ValueError):
        found = float(value)  # type: ignore[arg-type]  # a type of Pillow's, or a text of a damaged file
        return found if math.isfinite(found) else None
    return None
