"""A run's folder: the only place that knows its files' and columns' names.

Imports neither Ray nor torch, so that reading results is quick.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial

from results.journal import Journal
from san_core.errors import InputError
from san_core.files import is_file

RUNS = Path("runs")

LONGEST_NAME = 200
"""Bytes in a run's name; file systems allow 255, and Ray adds to it."""

SEARCH = "search"
"""Name of the study that holds the search's trials."""

CONFIRMATION = "confirmation"
"""Name of the study that holds the winner's and the baseline's runs under further seeds."""

SEED = "seed"
"""Trial attribute: the seed its training used."""

SECONDS = "seconds"
"""Trial attribute: training and scoring time of its epochs. Study attribute: wall time of the search."""

REASON = "reason"
"""Trial attribute: why it ended; empty for a trial that ran all its epochs."""

WORKER = "worker"
"""Trial attribute: where it ran last: the node's address and the GPU, or the worker process where there is none."""

CONFIRMS = "confirms"
"""Attribute of a confirmation's trial: number of the search's trial it repeats."""

RESUMED = "resumed"
"""Trial attribute of one that went on when its search was resumed: when that was, in ISO 8601 (local time)."""

DIVERGED = "diverged"
"""Trial attribute of one that was stopped because going on was useless."""

BASELINE = "baseline"
"""Trial attribute of the baseline configuration's trial."""

STOPPED_BY = "stopped_by"
"""Study attribute: why the search ended."""

PRIOR = "prior"
"""Trial attribute of what an earlier search found, copied for the sampler to learn from: that run's name."""

DUPLICATE_OF = "duplicate_of"
"""Trial attribute of a configuration the sampler chose again, which was not trained: the first trial's number."""

RETRAINING = "retraining"
"""A use of the folder beside searching."""

BASELINE_TRIAL = 0
"""Number of the baseline configuration's trial, unless the search was told to leave it out."""


def is_own(trial: FrozenTrial) -> bool:
    """Whether a trial of the journal was, is or will be trained by this search."""
    return PRIOR not in trial.user_attrs and DUPLICATE_OF not in trial.user_attrs


class RunFolder:
    """The files of one search."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / "journal.log"
        self.settings_file = path / "settings.json"
        self.environment_file = path / "environment.json"
        self.best_file = path / "best.json"
        self.trials_csv = path / "trials.csv"
        self.trials_parquet = path / "trials.parquet"
        self.comparison_csv = path / "comparison.csv"
        self.report = path / "report.md"
        self.report_page = path / "report.html"
        self.log = path / "search.log"
        self.ray = path / "ray"
        self.checkpoints = path / "checkpoints"
        self.tested_file = path / "tested.json"
        self.gallery = path / "gallery"
        self.retrained = path / "retrained"
        self.tracking = path / "tracking"

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.resolve().name

    @staticmethod
    def locate(name: str | None, data: str) -> Path:
        """Where a run called `name` lies: under runs/, or where a name with a slash says.

        Without a name: one made of the data set's name and the time.
        """
        if name is not None and Path(name).name in {"", ".."}:
            raise InputError(f"{name!r} is not a run's name; accepted: a name under runs/, or a path with a slash")
        if name is None:
            return RUNS / f"{data}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
        return Path(name) if "/" in name else RUNS / name

    @staticmethod
    def check_available(path: Path) -> None:
        """Refuses a place for a new run that is taken or cannot be written.

        Raises:
            InputError: saying which.
        """
        if len(os.fsencode(path.name)) > LONGEST_NAME:
            raise InputError(f"run name {path.name[:20]}... is too long; accepted: up to {LONGEST_NAME} bytes")
        if path.exists():
            raise InputError(f"run folder {path} exists already; choose another name with --run")
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise InputError(f"cannot write run folder {path}: {parent} is not a folder that can be written")

    @classmethod
    def create(cls, path: Path, settings: Mapping[str, Any], environment: Mapping[str, Any]) -> Self:
        """Makes the folder of a new search.

        Raises:
            InputError: if there is something there already, or it cannot be written.
        """
        cls.check_available(path)
        run = cls(path)
        try:
            path.mkdir(parents=True)
            write_json(run.settings_file, settings)
            write_json(run.environment_file, environment)
        except OSError as error:
            raise InputError(f"cannot write run folder {path}: {error}") from error
        return run

    @classmethod
    def open(cls, path: Path, *, journal: bool = True) -> Self:
        """Opens the folder of an earlier search, which must hold a journal too unless told otherwise.

        Raises:
            InputError: if it is not one.
        """
        run = cls(path)
        for file in [run.settings_file, *([run.journal] if journal else [])]:
            if not is_file(file):
                raise InputError(
                    f"{path} is not a run folder: it has no {file.name}; accepted: a folder that tuning.search wrote"
                )
        return run

    @contextmanager
    def locked(self, use: str = SEARCH) -> Iterator[None]:
        """Keeps everyone else with the same use for the folder out of it, however this one ends.

        Raises:
            InputError: if there is another.
        """
        lock = FileLock(self.path / (".lock" if use == SEARCH else f".{use}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(f"another {use} is running in {self.path}; wait for it to end") from error
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def mend_journal(self) -> None:
        """Cuts what a killed search left of a line it was writing, and lets go of its lock.

        Only for whoever has `locked` the folder.

        Raises:
            InputError: if the journal cannot be read or written.
        """
        if not self.journal.exists():
            return
        try:
            self.journal.with_name(f"{self.journal.name}.lock").unlink(missing_ok=True)
            with self.journal.open("r+b") as journal:
                lines = journal.read().splitlines(keepends=True)
                if lines and not _is_whole(lines[-1]):
                    journal.truncate(sum(map(len, lines[:-1])))
        except OSError as error:
            raise InputError(f"cannot write {self.journal}: {error.strerror}") from error

    @property
    def settings(self) -> dict[str, Any]:
        """What the search was told."""
        return read_json(self.settings_file)

    def change_settings(self, settings: Mapping[str, Any]) -> None:
        """Writes down what a resumed search was given anew.

        Raises:
            InputError: if it cannot be written.
        """
        if settings == self.settings:
            return
        try:
            write_json(self.settings_file, settings)
        except OSError as error:
            raise InputError(f"cannot write {self.settings_file}: {error.strerror}") from error

    def setting(self, name: str) -> Any:  # noqa: ANN401 - settings are of many types
        """One thing the search was told.

        Raises:
            InputError: if it is missing.
        """
        settings = self.settings
        if name not in settings:
            raise InputError(f"{self.settings_file} is damaged: it lacks {name!r}")
        return settings[name]

    @property
    def baseline_trial(self) -> int | None:
        """Number of the baseline's trial; None if the search was told to leave it out."""
        return BASELINE_TRIAL if self.settings.get("baseline_first", True) else None

    @property
    def environment(self) -> dict[str, Any]:
        """Versions and hardware of the search."""
        return read_json(self.environment_file)

    def storage(self) -> JournalStorage:
        """The journal, as Optuna reads and writes it."""
        return JournalStorage(Journal(str(self.journal)))

    def study(self, name: str = SEARCH) -> optuna.Study:
        """A study of the journal, by name.

        Raises:
            InputError: if the journal has no such study.
        """
        try:
            return optuna.load_study(study_name=name, storage=self.storage())
        except KeyError as error:
            raise InputError(f"{self.journal} holds no study called {name!r}") from error
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {self.journal}: {error}") from error


def _is_whole(line: bytes) -> bool:
    """Whether a line of a journal was written to its end."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        InputError: if the file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"cannot read {path}: it holds {type(content).__name__}, accepted: a JSON object")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object; the file appears only when it is whole."""
    write_whole(path, lambda partial: partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8"))


def write_whole(path: Path, write_to: Callable[[Path], object]) -> None:
    """Lets `write_to` write a file beside `path`, which takes its name only when it is whole."""
    partial = path.with_name(f".{path.name}.partial")
    write_to(partial)
    partial.replace(path)
