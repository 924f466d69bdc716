"""The data of a search: those that `--data` names, or those that a run searched on.

Data at URIs are copied to this machine.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from results.preparations import ONLY, Preparation, preparations
from results.run_folder import RunFolder
from san_core.command_line import print_message
from san_core.data.preparation import prepare
from san_core.data.prepared import FORMAT, MANIFEST, PreparedData
from san_core.data.readers import READERS
from san_core.data.readers.easy_vqa import FORMER_DEFAULTS
from san_core.errors import InputError
from san_core.files import is_folder, shown
from tuning.execution.data_cache import whole_data
from tuning.execution.remote_data import check_uri, data_at, is_uri, last_name
from tuning.options.search_options import EMBEDDED
from tuning.planning.preparations import Data, check_same_questions, short_names

DATA = Path("data")
"""Where prepared data sets are."""


def data_uris(given: Sequence[str], data: Data) -> dict[str, str]:
    """The URIs among what `--data` names, by the fingerprint of the data that were opened for them, in order."""
    return {each.fingerprint: place for place, each in zip(given, data.values(), strict=True) if is_uri(place)}


def moved_uris(uris: Mapping[str, str], moved: Sequence[str]) -> dict[str, str]:
    """The URIs of a search's data, by fingerprint, after some data were moved.

    Args:
        uris: the former ones.
        moved: names, folders or URIs of data that were moved.
    """
    places = {**uris, **{_open(place).fingerprint: place for place in moved}}
    return {fingerprint: place for fingerprint, place in places.items() if is_uri(place)}


def short_name(name: str) -> str:
    """What a run on the data set that `--data` names is called after: a name, or a folder."""
    return last_name(name) if is_uri(name) else name


def _place(name: str) -> Path:
    """Where the data set that `--data` names is, as far as that is known without reading it: for a URI its path.

    Raises:
        InputError: if there is no such data set, it is not prepared, or it is no URI that can be used.
    """
    if not is_uri(name):
        return _find_folder(name).resolve()
    check_uri(name)
    return Path(name.partition("://")[2])


def _find_folder(name: str) -> Path:
    """The folder of the data set that `--data` names. That of the embedded one may not be there yet.

    Raises:
        InputError: if there is no such data set, or it is not prepared.
    """
    folder = DATA / name if name in READERS else Path(name)
    if name == EMBEDDED or is_folder(folder):
        return folder
    if name in READERS:
        raise InputError(f"data set {name} is not prepared; first: python -m san_core.prepare {name} --root FOLDER")
    raise InputError(
        f"unknown data set {name!r}; accepted: {EMBEDDED}, a folder written by san_core.prepare or its URI, or the "
        f"name of a data set prepared in {DATA}/: {', '.join(READERS)}"
    )


def name_data(given: Sequence[str]) -> dict[str, str]:
    """What the search calls each data set that `--data` names, in order.

    Raises:
        InputError: if there is no such data set, it is not prepared, or one is given twice.
    """
    return dict(zip(short_names([_place(each) for each in given]), given, strict=True))


def open_data(given: Sequence[str]) -> Data:
    """The data that `--data` names, for a new search; the embedded data set is prepared first where it is missing.

    What an earlier version prepared as the embedded one gets another name, since its searches may go on with it.
    Data at a URI are copied to this machine, unless it has a copy.

    Raises:
        InputError: if there is no such data set, one is damaged or cannot be copied, or several are not preparations of
            the same questions.
    """
    if EMBEDDED in given:
        _set_aside(DATA / EMBEDDED)
    data = {name: _open(each) for name, each in name_data(given).items()}
    check_same_questions(data)
    return data


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


def open_searched_data(run: RunFolder, moved: Sequence[str] = (), names: Collection[str] | None = None) -> Data:
    """The data that a run searched on.

    Args:
        run: the run folder.
        moved: names, folders or URIs of data that were moved; the others are where the run says. Data that were copied
            from a URI are copied again if the copy is gone.
        names: names of the preparations that are needed; None for all.

    Raises:
        InputError: if data are not there, are damaged, or are not the same data.
    """
    one = Preparation(run.setting("data"), run.setting("data_fingerprint"), "")
    recorded = preparations(run.settings) or {ONLY: one}
    if unknown := set(names or ()) - recorded.keys():
        raise InputError(f"{shown(run.settings_file)} is damaged: it lacks the data {', '.join(unknown)}")
    wanted = {name: each for name, each in recorded.items() if names is None or name in names}
    names_of = {each.fingerprint: name for name, each in wanted.items()}
    found: dict[str, PreparedData] = {}
    for place in moved:
        data = _open_same(run, place, list(names_of))
        found[names_of[data.fingerprint]] = data
    for name in wanted.keys() - found.keys():
        found[name] = _open_recorded(run, wanted[name])
    return {name: found[name] for name in wanted}


def _open_recorded(run: RunFolder, wanted: Preparation) -> PreparedData:
    """Opens data where the run says that they are."""
    uri = run.settings.get("data_uris", {}).get(wanted.fingerprint)
    if uri and not whole_data(Path(wanted.folder), wanted.fingerprint):
        return data_at(uri, wanted.fingerprint)
    if not is_folder(Path(wanted.folder)):
        raise InputError(
            f"the data that {run.shown} was searched on are no longer in {wanted.folder}; accepted: their new folder, "
            "with --data FOLDER"
        )
    return _open_same(run, wanted.folder, [wanted.fingerprint])


def _open_same(run: RunFolder, place: str, fingerprints: Sequence[str]) -> PreparedData:
    """Opens data, which must have one of these fingerprints."""
    data = _open(place, fingerprints[0] if len(fingerprints) == 1 else None)
    if data.fingerprint not in fingerprints:
        raise InputError(
            f"{data.folder} has fingerprint {data.fingerprint}, but {run.shown} ran on {', '.join(fingerprints)}; "
            "give it the same data, prepared as they were, or start a new search"
        )
    return data
