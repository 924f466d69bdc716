"""Which tables there are, and which split each has."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from san_core.data.raw_dataset import TableFiles
from san_core.data.tables.column_names import split_of_file
from san_core.errors import InputError
from san_core.files import is_folder

_ENDINGS = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")


class SplitFile(NamedTuple):
    """A table.

    Attributes:
        path: the file.
        split: the split of all its rows; None where a column says it, or all rows are for training.
        chosen: whether the user has said the split; otherwise it is from the file's name.
    """

    path: Path
    split: str | None = None
    chosen: bool = False


def list_files(files: TableFiles) -> list[SplitFile]:
    """The tables, those of training first.

    Several tables have the splits that their names say (`train.json`, `validation-00000-of-00001.parquet`).

    Raises:
        InputError: if there is no table, or only some of several names say a split.
    """
    chosen = [SplitFile(path, split, chosen=True) for split, given in files.splits.items() for path in _expand(given)]
    paths = _expand(files.files)
    if not chosen and not paths:
        raise InputError("the data set table needs FILE or --train FILE: JSON, JSON lines, CSV, TSV or Parquet")
    named = [SplitFile(path, split_of_file(path.name)) for path in paths]
    splits = {file.split for file in named}
    if chosen or splits == {None} or len(paths) == 1:
        named = [SplitFile(path) for path in paths]
    elif None in splits:
        (first, *_) = [str(file.path) for file in named if file.split is None]
        raise InputError(
            f"the name of {first} says no split, those of other files do; --train, --validation and --test FILE say it"
        )
    return [*named, *chosen]


def _expand(given: Sequence[Path]) -> list[Path]:
    """The files, with the tables that are in folders, as in a data set of the Hugging Face hub."""
    return [path for name in given for path in (_in_folder(name) if is_folder(name) else [name])]


def _in_folder(folder: Path) -> list[Path]:
    """The tables in a folder and in the folders below it: those of the first kind that there is.

    Raises:
        InputError: if there is none.
    """
    files = sorted(path for path in folder.rglob("*") if not _is_hidden(path.relative_to(folder)))
    for ending in _ENDINGS:
        if found := [path for path in files if path.name.removesuffix(".gz").endswith(ending)]:
            return found
    raise InputError(f"{folder} has no table; accepted: {', '.join(_ENDINGS)}, or a file of any other name")


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
