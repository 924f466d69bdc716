"""The data set of a search: the one that `--data` names, or the one that a run searched on."""

from pathlib import Path

from results.run_folder import RunFolder
from san_core.data.preparation import prepare
from san_core.data.prepared import PreparedData
from san_core.data.readers import READERS
from san_core.errors import InputError
from san_core.files import is_folder
from tuning.options.search_options import EMBEDDED

DATA = Path("data")
"""Where prepared data sets are."""


def find_data(name: str) -> Path:
    """The folder of the data set that `--data` names. That of the embedded one may not be there yet.

    Raises:
        InputError: if there is no such data set, or it is not prepared.
    """
    folder = DATA / name if name in READERS else Path(name)
    if name == EMBEDDED or folder.is_dir():
        return folder
    if name in READERS:
        raise InputError(f"data set {name} is not prepared; first: python -m san_core.prepare {name} --root FOLDER")
    raise InputError(
        f"unknown data set {name!r}; accepted: {EMBEDDED}, a folder written by san_core.prepare, or the name of a "
        f"data set prepared in {DATA}/: {', '.join(READERS)}"
    )


def open_data(name: str) -> PreparedData:
    """The data set that `--data` names; the embedded one is prepared first where it is missing.

    Raises:
        InputError: if there is no such data set, or it is damaged.
    """
    folder = find_data(name)
    data = prepare(name, folder) if name == EMBEDDED else PreparedData.open(folder)
    data.check()
    return data


def open_searched_data(run: RunFolder, place: str | None = None) -> PreparedData:
    """The data set that a run searched on.

    Args:
        run: the run folder.
        place: name or folder of the data set, if it was moved; None where the run says.

    Raises:
        InputError: if it is not there, is damaged, or is not the same data.
    """
    folder, searched = str(run.setting("data")), run.setting("data_fingerprint")
    if place is None and not is_folder(Path(folder)):
        raise InputError(
            f"the data that {run.shown} was searched on are no longer in {folder}; accepted: their new folder, by "
            f"python -m tuning.search --resume {run.shown}/ --data FOLDER"
        )
    data = open_data(place or folder)
    if data.fingerprint != searched:
        raise InputError(
            f"{data.folder} has fingerprint {data.fingerprint}, but {run.shown} ran on {searched}; "
            "give it the same data, prepared as they were, or start a new search"
        )
    return data
