"""The folder of a run: names of its files, of its studies and of the attributes that trials have in its journal.

Other modules take these names from here. This module imports neither Ray nor torch, so that reading results is quick.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import optuna
from filelock import Timeout
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial

from results.clock import Clock
from results.journal import Journal, Storage, repair_journal
from results.settings_check import read_settings
from san_core.errors import InputError
from san_core.file_lock import hold_lock
from san_core.files import from_home, is_file, make_folder, path_from_home, read_json, shown, write_json

RUNS = Path("runs")
"""Where run folders are made, unless a path is given."""

MAX_NAME_BYTES = 200
"""Longest name of a run. File systems allow 255 bytes, and Ray appends to the name."""

SETTINGS_FILE = "settings.json"
"""File in the run folder with the settings of the search."""

SEARCH_LOG = "search.log"
"""File in the run folder with the log output of Ray and the workers."""

ATTENTION_EXAMPLES_FILE = "gallery.json"
"""File in the folder of the attention examples that lists their questions, answers and pictures."""

SEARCH = "search"
"""Name of the study with the trials of the search; also of the lock that a search holds."""

RETRAINING = "retraining"
"""Name of the lock that a retraining holds. A search and a retraining do not exclude each other."""

CONFIRMATION = "confirmation"
"""Name of the study with the runs that repeat the best configuration and the baseline under fresh seeds."""

SEED = "seed"
"""Trial attribute: the seed of its training."""

SECONDS = "seconds"
"""Trial attribute: training and scoring time of its epochs. Study attribute: wall time of the search. In seconds."""

REASON = "reason"
"""Trial attribute: why it ended; empty for a trial that ran all its epochs."""

WORKER = "worker"
"""Trial attribute: where it ran last: the node's address with the GPU, or with the worker process on a CPU."""

CONFIRMS = "confirms"
"""Trial attribute, in the confirmation study: number of the trial of the search that it repeats."""

REPEATS = "repeats"
"""Trial attribute of one that runs a failed trial again, because the search was resumed: the failed trial's number."""

RESUMED = "resumed"
"""Trial attribute: when it was continued, if its search was resumed: ISO 8601, in UTC; local time in older journals."""

STOPPED = "stopped"
"""Trial attribute: when a bound on time stopped it, ISO 8601 in UTC; empty once it goes on. `REASON` says which."""

ENDED = "ended"
"""Trial attribute: its place in the order in which trials ended, from 0 on; older journals lack it."""

DIVERGED = "diverged"
"""Trial attribute: true if its training diverged and was stopped, for example because the loss was not a number."""

IS_BASELINE = "baseline"
"""Trial attribute: true for the trial of the baseline configuration."""

STOPPED_BY = "stopped_by"
"""Study attribute: why the search ended."""

FIRST_TRIALS_ADDED = "filled"
"""Study attribute: true once the first trials are in the journal."""

PRIOR = "prior"
"""Trial attribute of one copied from an earlier run for the sampler to learn from: the name of that run."""

JOB = "job-"
"""Beginning of a study attribute that holds a job, see `results.jobs`; its number follows."""

BY_QUESTION = "by_question-"
"""Beginning of a trial attribute: the scores on single validation questions after an epoch, whose number follows."""

FOLD_EPOCHS = "fold_epochs"
"""Trial attribute: epochs on each fold, of a trial that is trained on several; its epochs are counted on over them."""

DUPLICATE_OF = "duplicate_of"
"""Trial attribute of one not trained because an earlier trial has the same parameters: that trial's number."""


def is_own(trial: FrozenTrial) -> bool:
    """Whether this search trains the trial itself: it is neither copied from an earlier run nor a duplicate."""
    return PRIOR not in trial.user_attrs and DUPLICATE_OF not in trial.user_attrs


def repeats(trials: Iterable[FrozenTrial]) -> dict[int, int]:
    """By number of each failed trial that was run again: the number of the trial that did so."""
    return {
        trial.user_attrs[REPEATS]: trial.number for trial in trials if REPEATS in trial.user_attrs and is_own(trial)
    }


def baseline_number(settings: Mapping[str, Any], trials: Iterable[FrozenTrial]) -> int | None:
    """Number of the baseline's trial; None if the search was told to run no baseline.

    Args:
        settings: of the search.
        trials: of the search. If the baseline failed and was run again, it is the last trial that did so.
    """
    if not settings.get("baseline_first", True):
        return None
    number, again = 0, repeats(trials)
    while number in again:
        number = again[number]
    return number


class RunFolder:
    """The folder of one search: the path of each file, and methods that read and write those that are not tables."""

    def __init__(self, path: Path) -> None:
        self.path = path = path.absolute()  # the program may change to another folder
        self.journal = path / "journal.log"
        self.settings_file = path / SETTINGS_FILE
        self.environment_file = path / "environment.json"
        self.best_file = path / "best.json"  # the best configuration, ready to train
        self.trials_csv = path / "trials.csv"
        self.trials_parquet = path / "trials.parquet"
        self.comparison_csv = path / "comparison.csv"
        self.report = path / "report.md"
        self.report_page = path / "report.html"
        self.log = path / SEARCH_LOG
        self.ray = path / "ray"
        self.checkpoints = path / "checkpoints"
        self.test_split_uses = path / "tested.json"  # models that the test split was used for
        self.attention_examples = path / "gallery"  # which is what users call them
        self.attention_examples_file = self.attention_examples / ATTENTION_EXAMPLES_FILE
        self.retrained = path / "retrained"  # model folders
        self.retraining = path / "retraining"  # networks of retrainings that were interrupted
        self.retrain_log = path / "retrain.log"  # log output of Ray while retraining
        self.tracking = path / "tracking"  # what experiment trackers write

    @property
    def shown(self) -> str:
        """What to print for the folder, and to type for the run, in the current folder."""
        return shown(self.path)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.resolve().name

    @staticmethod
    def locate(name: str) -> Path:
        """The path of the run called `name`: under runs/, or the name itself if it has a slash; `~` is the home folder.

        Raises:
            InputError: if the name is empty or ends in `..`.
        """
        name = from_home(name)
        if Path(name).name in {"", ".."}:
            raise InputError(f"{name!r} is not a run's name; accepted: a name under runs/, or a path with a slash")
        return path_from_home(name) if "/" in name else RUNS / name

    @staticmethod
    def default_path(data: str) -> Path:
        """The path of a new run that was given no name: under runs/, named after the data set and the time."""
        return RUNS / f"{Path(data).resolve().name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"

    @staticmethod
    def check_available(path: Path) -> None:
        """Checks that a new run can be made at `path`.

        Raises:
            InputError: if the name is too long, something exists there already, or the parent cannot be written.
        """
        if len(os.fsencode(path.name)) > MAX_NAME_BYTES:
            raise InputError(f"run name {path.name[:20]}... is too long; accepted: up to {MAX_NAME_BYTES} bytes")
        if path.exists():
            raise InputError(f"run folder {path} exists already; choose another name with --run")
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise InputError(f"cannot write run folder {path}: {parent} is not a folder that can be written")

    @classmethod
    def create(cls, path: Path, settings: Mapping[str, Any], environment: Mapping[str, Any]) -> Self:
        """Makes the folder of a new search, with its settings and environment.

        Raises:
            InputError: if something exists there already, or the folder cannot be written.
        """
        cls.check_available(path)
        run = cls(path)
        try:
            make_folder(path)
            write_json(run.settings_file, settings)
            write_json(run.environment_file, environment)
        except OSError as error:
            raise InputError(f"cannot write run folder {path}: {error}") from error
        return run

    @classmethod
    def open(cls, path: Path, *, journal: bool = True) -> Self:
        """Opens the folder of an existing search.

        Args:
            path: the folder.
            journal: whether the folder must hold a journal too. A search that was killed early has none yet.

        Raises:
            InputError: if the folder lacks such a file.
        """
        path = path_from_home(path)
        run = cls(path)
        for file in [run.settings_file, *([run.journal] if journal else [])]:
            if not is_file(file):
                raise InputError(
                    f"{path} is not a run folder: it has no {file.name}; accepted: a folder that tuning.search wrote"
                )
        return run

    @contextmanager
    def lock_for(self, use: str) -> Iterator[None]:
        """Holds the lock for one use of the folder while the block runs. If the process is killed, the lock is free.

        Args:
            use: SEARCH or RETRAINING; each has a lock of its own.

        Raises:
            InputError: if another process holds that lock, or the folder cannot be written.
        """
        with ExitStack() as held:
            try:
                held.enter_context(hold_lock(self._lock_file(use)))
            except Timeout as error:
                raise InputError(f"another {use} is running in {self.shown}; wait for it to end") from error
            except OSError as error:
                raise InputError(f"cannot write {self.shown}: {error.strerror}") from error
            yield

    @property
    def search_is_running(self) -> bool:
        """Whether a search runs in the folder now; False if that cannot be told because the folder is read-only."""
        try:
            with hold_lock(self._lock_file(SEARCH)):
                return False
        except Timeout:
            return True
        except OSError:
            return False

    def _lock_file(self, use: str) -> Path:
        return self.path / (".lock" if use == SEARCH else f".{use}.lock")

    def repair_journal(self) -> None:
        """Removes the incomplete last line and the lock file that a killed search may have left of the journal.

        Call it only inside `lock_for(SEARCH)`, so that no other search is writing.

        Raises:
            InputError: if the journal cannot be read or written.
        """
        try:
            repair_journal(self.journal)
        except OSError as error:
            raise InputError(f"cannot write {shown(self.journal)}: {error.strerror}") from error

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the search, as read at the first use: a copy, which the caller may change.

        Raises:
            InputError: if the file is missing or damaged.
        """
        return dict(self._settings)

    @cached_property
    def _settings(self) -> Mapping[str, Any]:
        return read_settings(self.settings_file)

    def change_settings(self, settings: Mapping[str, Any]) -> None:
        """Replaces the settings, in the file too, if they differ.

        Raises:
            InputError: if the file cannot be written.
        """
        if settings == self._settings:
            return
        try:
            write_json(self.settings_file, settings)
        except OSError as error:
            raise InputError(f"cannot write {shown(self.settings_file)}: {error.strerror}") from error
        self._settings = dict(settings)

    def setting(self, name: str) -> Any:  # noqa: ANN401 - settings are of many types
        """One of the settings of the search.

        Raises:
            InputError: if it is missing.
        """
        settings = self.settings
        if name not in settings:
            raise InputError(f"{shown(self.settings_file)} is damaged: it lacks {name!r}")
        return settings[name]

    @property
    def baseline_number(self) -> int | None:
        """Number of the baseline's trial, see `baseline_number`; None if the search was told to run no baseline."""
        return baseline_number(self.settings, self.study().get_trials(deepcopy=False))

    @property
    def environment(self) -> dict[str, Any]:
        """Versions and hardware that the search ran with; empty if the file is missing or damaged: nothing needs it."""
        try:
            return read_json(self.environment_file)
        except InputError:
            return {}

    @cached_property
    def clock(self) -> Clock:
        """The clock that times in the journal come from; they never go back."""
        return Clock()

    def storage(self) -> JournalStorage:
        """Optuna's storage over the journal."""
        return Storage(Journal(self.journal, self.clock))

    def study(self, name: str = SEARCH) -> optuna.Study:
        """A study of the journal, by name.

        Raises:
            InputError: if the journal has no such study, or cannot be read.
        """
        with self.explain_damage():
            try:
                return optuna.load_study(study_name=name, storage=self.storage())
            except KeyError as error:
                raise InputError(f"{shown(self.journal)} holds no study called {name!r}") from error

    @contextmanager
    def explain_damage(self) -> Iterator[None]:
        """Turns an error of reading the journal into one line.

        Raises:
            InputError: if the journal cannot be read, or is damaged.
        """
        try:
            yield
        except InputError:
            raise
        except (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise InputError(
                f"cannot read {shown(self.journal)}: {' '.join(str(error).split()) or repr(error)}"
            ) from error
