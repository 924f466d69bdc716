"""Names of image files as the data and the disk have them, and the ways in which two of them may be equal."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

_KINDS = (
    "jpg jpeg jpe jfif mpo",
    "png apng",
    "tif tiff",
    "webp",
    "bmp dib",
    "gif",
    "heic heif hif",
    "avif avifs",
    "ppm pgm pbm pnm",
    "jp2 j2k jpx",
    "tga ico pcx sgi dds psd icns qoi",
)
_KIND_OF = {extension: kind for kind, extensions in enumerate(_KINDS) for extension in extensions.split()}
"""The kind of image file of each extension; `jpg` and `jpeg` are the same kind."""

# A whole number, also one that a spreadsheet wrote as 4.0.
NUMBER = re.compile(r"0*([0-9]+)(?:\.0+)?")
# Ends of names such as COCO_train2014_000000000004, CLEVR_val_000004 and abstract_v002_train2015_000000000004.
_NUMBERED = re.compile(r"[A-Za-z]\w*_(?=[0-9]{6})0*([0-9]+)", re.ASCII)


class ImageName(NamedTuple):
    """The path of a file in the folder, or of an image in the data.

    Attributes:
        path: the path as it is on the disk or in the data, with slashes.
        folders: names of its folders. All names are in Unicode's composed form (NFC).
        name: its name.
        stem: its name without the extension, if that is one of an image.
        extension: in small letters; empty if it is not one of an image.
    """

    path: str
    folders: tuple[str, ...]
    name: str
    stem: str
    extension: str

    @classmethod
    def read(cls, path: str) -> "ImageName":
        """Takes a path with slashes apart."""
        composed = path if path.isascii() else unicodedata.normalize("NFC", path)
        *folders, name = composed.split("/")
        stem, _, extension = name.rpartition(".")
        extension = extension.lower() if stem and extension.lower() in _KIND_OF else ""
        real_folders = tuple(folder for folder in folders if folder not in {"", "."})
        return cls(path, real_folders, name, stem if extension else name, extension)


def key_of(file: ImageName) -> str:
    """What names have in common that may be equal: the name without extension, in small letters."""
    return file.stem.casefold()


def number_of(file: ImageName) -> str:
    """The number that a file's name is or ends in, without zeros in front; empty if there is none."""
    found = (NUMBER.fullmatch(file.stem) if file.stem.isdecimal() else None) or _NUMBERED.fullmatch(file.stem)
    return found[1] if found else ""


# Ways in which a file may have the name that is wanted, from exact to loose. Their stems are equal but for capitals.
def _same_name(file: ImageName, wanted: ImageName) -> bool:
    return file.name == wanted.name


def _same_but_for_capitals(file: ImageName, wanted: ImageName) -> bool:
    return file.extension == wanted.extension


def _without_extension(file: ImageName, wanted: ImageName) -> bool:
    return not wanted.extension and file.stem == wanted.stem


def _without_extension_but_for_capitals(_file: ImageName, wanted: ImageName) -> bool:
    return not wanted.extension


def _same_format(file: ImageName, wanted: ImageName) -> bool:
    return bool(wanted.extension) and _KIND_OF.get(file.extension) == _KIND_OF[wanted.extension]


WAYS_TO_BE_EQUAL: Sequence[Callable[[ImageName, ImageName], bool]] = (
    _same_name,
    _same_but_for_capitals,
    _without_extension,
    _without_extension_but_for_capitals,
    _same_format,
)
"""From exact to loose; both names have the same `key_of`."""
