"""The prepared data of a search, which may try several preparations of the same questions: other features of images.

Which of them a trial is trained on is then one more parameter, `data`, whose values are the preparations' names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from san_core.errors import InputError

DATA_PARAMETER = "data"
"""Name of that parameter."""

PREPARATIONS = "preparations"
"""Setting of a search with several: a `Preparation` by name, as an object, in the order in which they were given."""

ONLY = ""
"""What stands in the place of a preparation's name where a search has one only, and no parameter `data`."""


@dataclass(frozen=True)
class Preparation:
    """One preparation of the data.

    Attributes:
        folder: folder of the prepared data set.
        fingerprint: of the prepared data set.
        images: how the images are seen, in words.
    """

    folder: str
    fingerprint: str
    images: str


def preparations(settings: Mapping[str, Any]) -> dict[str, Preparation]:
    """The preparations of a search by name; empty if it has one only.

    Args:
        settings: of the search, from settings.json.
    """
    return {name: Preparation(**entry) for name, entry in settings.get(PREPARATIONS, {}).items()}


def names_by_fingerprint(settings: Mapping[str, Any]) -> dict[str, str]:
    """The name of each preparation of a search by its fingerprint; `ONLY` if it has one only."""
    found = {each.fingerprint: name for name, each in preparations(settings).items()}
    return found or {str(settings.get("data_fingerprint")): ONLY}


def folder_of_data(settings: Mapping[str, Any], params: Mapping[str, Any]) -> Path:
    """The folder of the data that a trial with these parameters is trained on.

    Raises:
        InputError: if the settings do not say it.
    """
    several, name = preparations(settings), preparation_name(params)
    if name in several:
        return Path(several[name].folder)
    if name != ONLY or "data" not in settings:
        raise InputError(f"settings.json is damaged: it lacks the folder of the data {name}".strip())
    return Path(settings["data"])


def preparation_name(params: Mapping[str, Any]) -> str:
    """The name of the preparation that a trial with these parameters is trained on."""
    return str(params.get(DATA_PARAMETER, ONLY))


def without_data(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are training settings: all but `data`."""
    return {name: value for name, value in params.items() if name != DATA_PARAMETER}
