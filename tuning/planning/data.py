"""The data set of a search: the one that `--data` names, or the one that a run searched on."""

import json
from contextlib import suppress
from pathlib import Path

from results.run_folder import RunFolder
from san_core.command_line import print_message
from san_core.data.preparation import prepare
from san_core.data.prepared import FORMAT, MANIFEST, PreparedData
from san_core.data.readers import READERS
from san_core.data.readers.easy_vqa import FORMER_DEFAULTS
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
    """The data set that `--data` names, for a new search; the embedded one is prepared first where it is missing.

    What an earlier version prepared as the embedded one gets another name, since its searches may go on with it.

    Raises:
        InputError: if there is no such data set, or it is damaged.
    """
    if name == EMBEDDED:
        _set_aside(DATA / name)
    return _open(name)


def _set_aside(folder: Path) -> None:
    """Renames the embedded data set if an earlier version prepared it: in another format, or with other defaults."""
    with suppress(OSError, ValueError, TypeError, KeyError):  # missing, or damaged, which is told where it is opened
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        inputs = manifest["inputs"]
        if manifest["format"] != FORMAT or all(inputs[key] == value for key, value in FORMER_DEFAULTS.items()):
            kept = folder.rename(folder.with_name(f"{folder.name}-{manifest['fingerprint']}"))
            print_message(
                f"{folder} was prepared by an earlier version and is prepared again; the former data are now {kept}, "
                "which you may delete if no search needs it"
            )


def _open(name: str) -> PreparedData:
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
            f"the data that {run.shown} was searched on are no longer in {folder}; accepted: their new folder, with "
            "--data FOLDER"
        )
    data = _open(place or folder)
    if data.fingerprint != searched:
        raise InputError(
            f"{data.folder} has fingerprint {data.fingerprint}, but {run.shown} ran on {searched}; "
            "give it the same data, prepared as they were, or start a new search"
        )
    return data
