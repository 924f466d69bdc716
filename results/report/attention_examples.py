"""Reads the attention examples that `tuning.attention_examples` wrote, with their pictures as data URLs."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results.run_folder import RunFolder
from san_core.errors import InputError
from san_core.files import is_file, read_json

_MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png"}


@dataclass(frozen=True)
class AttentionExamples:
    """What the report shows under the heading "Gallery".

    Attributes:
        items: questions with answers and pictures, those answered right first.
        note: text that says which trial gave these answers, or why there are none; empty if `tuning.attention_examples`
            did not run.
    """

    items: list[dict[str, Any]]
    note: str


def load_attention_examples(folder: RunFolder) -> AttentionExamples:
    """Reads a run's attention examples.

    If they are damaged, `note` says so and nothing is raised: the rest of the report does not need them.
    """
    if not is_file(folder.attention_examples_file):
        return AttentionExamples([], "")
    try:
        index = read_json(folder.attention_examples_file)
        return AttentionExamples(
            [_item(folder.attention_examples, item) for item in index["items"]], str(index["note"])
        )
    except (InputError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        return AttentionExamples([], f"The gallery cannot be read: {error}")


def _item(folder: Path, item: dict[str, Any]) -> dict[str, Any]:
    return {
        "question": str(item["question"]),
        "answer": str(item["answer"]),
        "right": bool(item["right"]),
        "answers": [(str(text), float(probability)) for text, probability in item["answers"]],
        "picture": _embed(folder, item["picture"]) if item["picture"] else "",
        "hops": [_embed(folder, name) for name in item["hops"]],
    }


def _embed(folder: Path, name: str) -> str:
    """A picture as a data URL."""
    path = folder / Path(name).name
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{_MEDIA_TYPES[path.suffix]};base64,{content}"
