"""Writes pictures that are in a data file itself to files of their own."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from san_core.errors import InputError

_EXTENSIONS: Mapping[bytes, str] = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}


@dataclass(frozen=True)
class PictureFolder:
    """A folder for pictures; the same picture is written once, however often it is in the data.

    Attributes:
        folder: made when the first picture is written.
    """

    folder: Path

    def write(self, content: bytes) -> Path:
        """Writes the content of a picture, unless it is there already, and returns its file.

        It is not waited for: a file that a power cut damages is written again by the next run, which compares contents.

        Raises:
            InputError: if it cannot be written.
        """
        path = self.folder / f"{hashlib.sha256(content).hexdigest()[:20]}{_extension(content)}"
        try:
            if not (path.is_file() and path.read_bytes() == content):
                self.folder.mkdir(parents=True, exist_ok=True)
                partial = path.with_name(f".{path.name}.partial")
                partial.write_bytes(content)
                partial.replace(path)
        except OSError as error:
            raise InputError(f"cannot write the picture {path}: {error.strerror}") from error
        return path


def is_picture(content: bytes) -> bool:
    """Whether bytes are a picture, maybe a damaged one, and no text in UTF-8."""
    try:
        return "\0" in content.decode()
    except UnicodeDecodeError:
        return True


def _extension(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((extension for start, extension in _EXTENSIONS.items() if content.startswith(start)), "")
