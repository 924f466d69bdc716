"""The gallery that `tuning.attention_examples` wrote, with its pictures inside."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results.run_folder import RunFolder, read_json
from san_core.errors import InputError
from san_core.files import is_file

INDEX = "gallery.json"

_TYPES = {".jpg": "image/jpeg", ".png": "image/png"}


@dataclass(frozen=True)
class Pictures:
    """A gallery.

    Attributes:
        items: questions with answers and pictures, those answered right first.
        note: what the gallery is of, or why there is none; empty where none was made.
    """

    items: list[dict[str, Any]]
    note: str


def pictures(folder: RunFolder) -> Pictures:
    """A run's gallery; a damaged one is told of, since the rest of a report does not need it."""
    if not is_file(folder.gallery / INDEX):
        return Pictures([], "")
    try:
        index = read_json(folder.gallery / INDEX)
        return Pictures([_item(folder.gallery, item) for item in index["items"]], str(index["note"]))
    except (InputError, OSError, KeyError, TypeError) as error:
        return Pictures([], f"The gallery cannot be read: {error}")


def _item(folder: Path, item: dict[str, Any]) -> dict[str, Any]:
    picture = _embed(folder, item["picture"]) if item["picture"] else ""
    return {**item, "picture": picture, "hops": [_embed(folder, name) for name in item["hops"]]}


def _embed(folder: Path, name: str) -> str:
    """A picture as a data URL."""
    path = folder / Path(name).name
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{_TYPES[path.suffix]};base64,{content}"
