"""The gallery that `tuning.attention_examples` wrote: questions, answers and pictures, the pictures as data URLs."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results.run_folder import RunFolder, read_json
from san_core.errors import InputError
from san_core.files import is_file

_MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png"}


@dataclass(frozen=True)
class Gallery:
    """A gallery.

    Attributes:
        items: questions with answers and pictures, those answered right first.
        note: which trial's answers it shows, or why there is none; empty if no gallery was made.
    """

    items: list[dict[str, Any]]
    note: str


def load_gallery(folder: RunFolder) -> Gallery:
    """Reads a run's gallery. If it is damaged, `note` says so: the rest of the report does not need it."""
    if not is_file(folder.gallery_file):
        return Gallery([], "")
    try:
        index = read_json(folder.gallery_file)
        return Gallery([_item(folder.gallery, item) for item in index["items"]], str(index["note"]))
    except (InputError, OSError, KeyError, TypeError) as error:
        return Gallery([], f"The gallery cannot be read: {error}")


def _item(folder: Path, item: dict[str, Any]) -> dict[str, Any]:
    picture = _embed(folder, item["picture"]) if item["picture"] else ""
    return {**item, "picture": picture, "hops": [_embed(folder, name) for name in item["hops"]]}


def _embed(folder: Path, name: str) -> str:
    """A picture as a data URL."""
    path = folder / Path(name).name
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{_MEDIA_TYPES[path.suffix]};base64,{content}"
