"""Several preparations of the same questions in one search: what each is called, and how they become a parameter.

They are given by their names, in the order of `--data`: the baseline has the first. One alone is called `ONLY`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from math import prod
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution

from results.preparations import DATA_PARAMETER, ONLY, PREPARATIONS, Preparation
from san_core.data.fingerprint import short_hash
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from search_spaces import SearchSpace

Data = Mapping[str, PreparedData]
"""Prepared data sets, by name."""

_OF_FEATURES = ("encoder", "layer", "grid", "weights", "image_size", "fine_tune")
"""The inputs of prepared data that only the features of the images depend on."""


def short_names(folders: Sequence[Path]) -> list[str]:
    """A name for each folder: its last part, or as many of its last parts as tell all apart.

    Raises:
        InputError: if a folder is given twice.
    """
    if len(folders) == 1:
        return [ONLY]
    if twice := [folder for folder in folders if folders.count(folder) > 1]:
        raise InputError(f"--data {twice[0]} is given twice; accepted: different preparations of the same questions")
    parts = 1
    while len({folder.parts[-parts:] for folder in folders}) < len(folders):
        parts += 1
    return [str(Path(*folder.parts[-parts:])) for folder in folders]


def check_same_questions(data: Data) -> None:
    """Checks that data differ in the features of the images, and in nothing else.

    Raises:
        InputError: if not; the message names the first difference.
    """
    for one, other in combinations(data.values(), 2):
        if one.fingerprint == other.fingerprint:
            raise InputError(f"--data {one.folder} and {other.folder} are the same; accepted: different preparations")
        found, compared = _besides_features(one), _besides_features(other)
        if differing := [name for name in found if found[name] != compared.get(name)]:
            name = differing[0]
            raise InputError(
                f"--data {one.folder} and {other.folder} are no preparations of the same questions: {name} "
                f"{found[name]} and {compared.get(name)}; accepted: data that differ only in the features of the images"
            )


def _besides_features(data: PreparedData) -> dict[str, Any]:
    """Questions, images, answers, words and splits of data; what is long as its fingerprint."""
    manifest = data.manifest
    inputs = {name: value for name, value in manifest["inputs"].items() if name not in _OF_FEATURES}
    return {
        **inputs,
        "splits": manifest["counts"],
        "number of images": manifest["images"],
        "answers": short_hash(data.answers),
        "words": short_hash(data.words.words),
    }


def with_data(space: SearchSpace, names: Sequence[str]) -> SearchSpace:
    """The space in which a trial's preparation is chosen too, if there are several."""
    if len(names) == 1:
        return space
    return replace(
        space,
        parameters={**space.parameters, DATA_PARAMETER: CategoricalDistribution(names)},
        baseline={**space.baseline, DATA_PARAMETER: names[0]},
    )


def first(data: Data) -> PreparedData:
    """The baseline's data."""
    return next(iter(data.values()))


def largest(data: Data) -> PreparedData:
    """The data that a trial needs most memory for: pixels, or else those with the most numbers for each image."""
    return max(data.values(), key=lambda each: (each.fine_tune, prod(each.images.shape[1:])))


def recorded_data(data: Data) -> dict[str, Any]:
    """What settings.json says of several preparations; nothing of one alone."""
    if len(data) == 1:
        return {}
    found = {
        name: Preparation(str(each.folder), each.fingerprint, each.described_images) for name, each in data.items()
    }
    return {PREPARATIONS: {name: asdict(each) for name, each in found.items()}}
