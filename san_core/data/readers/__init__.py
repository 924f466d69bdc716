"""The data sets by name; each module reads one, or one format."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from san_core.data.problems import Problems
from san_core.data.raw_dataset import Location, RawDataset, TableFiles
from san_core.data.readers import coco_qa, daquar, easy_vqa, table, vqa
from san_core.errors import InputError

Reader = Callable[[Location, Problems], RawDataset]


def read_dataset(name: str, location: Location, problems: Problems) -> RawDataset:
    """Reads the data set called `name`.

    Args:
        name: see `READERS`.
        location: location of the data set's files.
        problems: problems found so far; those of the files are added.

    Raises:
        InputError: if the name is unknown, or a file is missing or cannot be read.
    """
    if name not in READERS:
        raise InputError(f"unknown data set {name!r}; accepted: {', '.join(READERS)}")
    return READERS[name](location, problems)


def _read_easy_vqa(_location: Location, _problems: Problems) -> RawDataset:
    return easy_vqa.read()


def _read_daquar(size: str, location: Location, problems: Problems) -> RawDataset:
    return daquar.read(size, _root(location), problems, single_answers=location.single_answers)


def _read_coco_qa(location: Location, problems: Problems) -> RawDataset:
    return coco_qa.read(_root(location), problems)


def _read_vqa(version: str, location: Location, problems: Problems) -> RawDataset:
    return vqa.read(version, _root(location), problems)


def _read_own(location: Location, problems: Problems) -> RawDataset:
    return vqa.read_own("vqa", location.train, location.test, problems)


def _read_table(location: Location, problems: Problems) -> RawDataset:
    return table.read("table", location.table or TableFiles(), problems)


def _root(location: Location) -> Path:
    if location.root is None:
        raise InputError("this data set needs --root FOLDER, the folder that holds its files")
    return location.root


READERS: dict[str, Reader] = {
    "easy-vqa": _read_easy_vqa,
    "daquar-all": partial(_read_daquar, "all"),
    "daquar-reduced": partial(_read_daquar, "reduced"),
    "coco-qa": _read_coco_qa,
    "vqa-v1": partial(_read_vqa, "v1"),
    "vqa-v2": partial(_read_vqa, "v2"),
    "vqa": _read_own,
    "table": _read_table,
}
"""The reader of each data set; `table` and `vqa` are the user's own data, in tables and in the VQA layout."""
