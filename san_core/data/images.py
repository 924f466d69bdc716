"""Image files as pixels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from san_core.errors import InputError


def load_pixels(path: Path, size: int) -> NDArray[np.uint8]:
    """The picture brought to `size` x `size` pixels: RGB, uint8 [size, size, 3].

    Raises:
        InputError: if the file is missing or is not a picture Pillow can read.
    """
    try:
        with Image.open(path) as image:
            square = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    except FileNotFoundError as error:
        raise InputError(f"image {path} does not exist") from error
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise InputError(f"image {path} cannot be read: {error}") from error
    return np.asarray(square)
