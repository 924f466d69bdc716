"""The data set of a search: the one that `--data` names, or the one that a run searched on.

Data at a URI are copied to this machine.
"""

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
from tuning.execution.data_cache import whole_data
from tuning.execution.remote_data import check_uri, data_at, is_uri, last_name
from tuning.options.search_options import EMBEDDED

DATA = Path("data")
"""Where prepared data sets are."""


def data_uri(name: str) -> str | None:
    """The URI that `--data` is; None if it is a folder or the name of a data set."""
    return name if is_uri(name) else None


def short_name(name: str) -> str:
    """What a run on the data set that `--data` names is called after: a name, or a folder."""
    return last_name(name) if is_uri(name) else name


def check_data(name: str) -> None:
    """Checks that `--data` names a data set, as far as that is possible without reading it.

    Raises:
        InputError: if it does not.
    """
    if is_uri(name):
        check_uri(name)
    else:
        _find_folder(name)


def _find_folder(name: str) -> Path:
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
        f"unknown data set {name!r}; accepted: {EMBEDDED}, a folder written by san_core.prepare or its URI, or the "
        f"name of a data set prepared in {DATA}/: {', '.join(READERS)}"
    )


def open_data(name: str) -> PreparedData:
    """The data set that `--data` names, for a new search; the embedded one is prepared first where it is missing.

    What an earlier version prepared as the embedded one gets another name, since its searches may go on with it.
    Data at a URI are copied to this machine, unless it has a copy.

    Raises:
        InputError: if there is no such data set, or it is damaged, or cannot be copied.
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


def _open(name: str, fingerprint: str | None = None) -> PreparedData:
    if is_uri(name):
        return data_at(name, fingerprint)
    folder = _find_folder(name)
    data = prepare(name, folder) if name == EMBEDDED else PreparedData.open(folder)
    data.check()
    return data


def open_searched_data(run: RunFolder, place: str | None = None) -> PreparedData:
    """The data set that a run searched on.

    Args:
        run: the run folder.
        place: name, folder or URI of the data set, if it was moved; None where the run says. Data that were copied from
            a URI are copied again if the copy is gone.

    Raises:
        InputError: if it is not there, is damaged, or is not the same data.
    """
    folder, searched = str(run.setting("data")), run.setting("data_fingerprint")
    uri = run.settings.get("data_uri")
    if place is None and uri and not whole_data(Path(folder), searched):
        place = uri
    if place is None and not is_folder(Path(folder)):
        raise InputError(
            f"the data that {run.shown} was searched on are no longer in {folder}; accepted: their new folder, with "
            "--data FOLDER"
        )
    data = _open(place or folder, searched)
    if data.fingerprint != searched:
        raise InputError(
            f"{data.folder} has fingerprint {data.fingerprint}, but {run.shown} ran on {searched}; "
            "give it the same data, prepared as they were, or start a new search"
        )
    return data
