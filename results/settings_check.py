"""Whether the values in settings.json are of the kinds that they must be."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from results.journal_check import is_whole
from results.preparations import PREPARATIONS, Preparation
from san_core.errors import InputError
from san_core.files import read_json


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _is_object_of_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_preparations(value: object) -> bool:
    keys = {field.name for field in fields(Preparation)}
    return isinstance(value, dict) and all(_is_object_of_texts(each) and each.keys() == keys for each in value.values())


def _or_none(kind: "_Kind") -> "_Kind":
    accepts, words = kind
    return (lambda value: value is None or accepts(value)), f"{words} or null"


def _is_counts(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, list) and all(is_whole(each) and each > 0 for each in value)


_Kind = tuple[Callable[[Any], bool], str]

_TEXT: _Kind = (lambda value: isinstance(value, str)), "a text"
_SWITCH: _Kind = (lambda value: isinstance(value, bool)), "true or false"
_OBJECT: _Kind = (lambda value: isinstance(value, dict)), "an object"
_WHOLE: _Kind = is_whole, "a whole number >= 0"
_COUNT: _Kind = (lambda value: is_whole(value) and value > 0), "a whole number >= 1"
_NUMBER: _Kind = _is_number, "a number >= 0"

_KINDS: Mapping[str, _Kind] = {
    **dict.fromkeys(("command", "started", "data", "data_name", "data_fingerprint", "metric", "metric_title"), _TEXT),
    "images": _TEXT,
    **dict.fromkeys(("space", "sampler", "pruner"), _TEXT),
    **dict.fromkeys(("storage", "track"), _or_none(_TEXT)),
    **dict.fromkeys(("options", "baseline", "fixed"), _OBJECT),
    **dict.fromkeys(("seed", "confirm", "max_failures", "keep", "cpus_per_trial"), _WHOLE),
    **dict.fromkeys(("concurrent", "cohort", "first_rung", "folds"), _COUNT),
    "validation_questions": _or_none(_COUNT),
    "fold_questions": (_is_counts, "a list of whole numbers >= 1"),
    **dict.fromkeys(("trials", "patience"), _or_none(_WHOLE)),
    **dict.fromkeys(("budget", "gpu_hours"), _or_none(_NUMBER)),
    "gpus_per_trial": _NUMBER,
    "baseline_first": _SWITCH,
    "prior": (_is_texts, "a list of texts"),
    "try_first": (_is_objects, "a list of objects"),
    PREPARATIONS: (_is_preparations, "an object of folder, fingerprint and images by name"),
    "data_uris": (_is_object_of_texts, "an object of texts"),
    "space_definition": (_is_object_of_texts, "an object of texts"),
}
"""What each setting must be, where it is there: a function that says whether it is, and the words for it."""


def read_settings(path: Path) -> dict[str, Any]:
    """The content of settings.json.

    Raises:
        InputError: if it cannot be read, or a setting is of another kind than it must be.
    """
    settings = read_json(path)
    if wrong := misfit(settings):
        raise InputError(f"{path} is damaged: {wrong}")
    return settings


def misfit(settings: Mapping[str, Any]) -> str:
    """The first setting of another kind than it must be, in words; empty for none."""
    for name, (accepts, words) in _KINDS.items():
        if name in settings and not accepts(settings[name]):
            return f"{name!r} is {str(settings[name])[:100]!r}, accepted: {words}"
    return ""
