"""Finds the picture of a row, which its `image` and its `image_id` may both name, and gives it a key."""

from collections.abc import Mapping
from pathlib import Path

from san_core.data.ids import read_id
from san_core.data.images.folder import ImageFolder
from san_core.errors import InputError

_SHOWN = 80  # characters of a name


def add_image(images: dict[str, Path], path: Path, *, parts: int) -> str:
    """Adds an image file to `images`, and returns its key.

    The key is the end of the path, with as many folders as it takes to differ from the keys of other files.

    Args:
        images: the file of each image key so far.
        path: the file.
        parts: least number of parts of the path in the key, >= 1; 1 is the name alone.
    """
    names = path.absolute().parts
    keys = ("/".join(names[-count:]) for count in range(parts, len(names) + 1))
    return next(key for key in keys if images.setdefault(key, path) == path)


class DifferentPicturesError(InputError):
    """The `image` of a row is one picture, and its `image_id` another."""


def picture_names(image: object, image_id: object) -> list[Path | str | int]:
    """Returns what a row calls its picture: its `image`, then its `image_id`; empty if it names none.

    A name is a text or an id. Of an object (Hugging Face) it is the `path`, of a list of one the only entry. Missing
    values, also NaN, are no names. A picture that was in the table itself is a file already, and needs no other name.
    """
    if isinstance(image, list | tuple) and len(image) == 1:
        image = image[0]
    if isinstance(image, Mapping):
        image = image.get("path")
    if isinstance(image, Path):
        return [image]
    return [name for name in (read_id(image), read_id(image_id)) if name is not None]


def find_picture(folder: ImageFolder, image: object, image_id: object, *, beside: Path | None = None) -> Path:
    """Returns the picture of a row: that of its `image`, or if there is none (as for a URL), that of its `image_id`.

    Args:
        folder: folder of the pictures.
        image: what the row has as its image, see `picture_names`.
        image_id: its `image_id`; None if it has none, or if this is what `image` is.
        beside: the file of the row, see `ImageFolder.find`.

    Raises:
        DifferentPicturesError: if both are found, and are different pictures.
        InputError: if none is found; the message has each name and the reason.
    """
    found: list[Path] = []
    reasons = []
    for name in dict.fromkeys(picture_names(image, image_id)):
        if isinstance(name, Path):
            return name
        try:
            found.append(folder.find(name, beside=beside))
        except (InputError, ValueError) as error:  # ValueError: a null byte in the name
            reasons.append(f"{str(name)[:_SHOWN]!r}: {error}")
    if not found:
        raise InputError("; ".join(reasons) or "names no picture")
    if found[0] != found[-1] and found[0].resolve() != found[-1].resolve():
        one, other = (path.relative_to(folder.folder) if path.is_relative_to(folder.folder) else path for path in found)
        raise DifferentPicturesError(f"its image is {one}, but its image_id is {other}")
    return found[0]
