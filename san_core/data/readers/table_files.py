"""Which tables there are, and which split each has."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from san_core.data.problems import Problems
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


def list_files(files: TableFiles, problems: Problems) -> list[SplitFile]:
    """The tables, those of training first.

    Several tables have the splits that their names say (`train.json`, `validation-00000-of-00001.parquet`).

    Args:
        files: the tables and the folders of tables that the user has named.
        problems: a note tells of tables in a folder that are not read.

    Raises:
        InputError: if there is no table, or only some of several names say a split.
    """
    of_splits = [(split, path) for split, given in files.splits.items() for path in _expand(given, problems)]
    chosen = [SplitFile(path, split, chosen=True) for split, path in of_splits]
    paths = _expand(files.files, problems)
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


def _expand(given: Sequence[Path], problems: Problems) -> list[Path]:
    """The files, with the tables that are in folders, as in a data set of the Hugging Face hub."""
    return [path for name in given for path in (_in_folder(name, problems) if is_folder(name) else [name])]


def _in_folder(folder: Path, problems: Problems) -> list[Path]:
    """The tables in a folder and in the folders below it: those of the first kind that there is.

    Raises:
        InputError: if there is none.
    """
    files = sorted(path for path in folder.rglob("*") if not _is_hidden(path.relative_to(folder)))
    kinds = {ending: [path for path in files if path.name.removesuffix(".gz").endswith(ending)] for ending in _ENDINGS}
    (first, read), *others = [(ending, found) for ending, found in kinds.items() if found] or [("", [])]
    if not read:
        raise InputError(f"{folder} has no table; accepted: {', '.join(_ENDINGS)}, or a file of any other name")
    if others:
        left = [path for _, found in others for path in found]
        problems.note(
            f"{folder}: its {first} files are read ({read[0].name}{', ...' if len(read) > 1 else ''}), but not "
            f"{left[0].name}{f' and {len(left) - 1:,} more' if len(left) > 1 else ''}; name the files to read others"
        )
    return read


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
