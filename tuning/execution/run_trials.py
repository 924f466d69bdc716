"""Runs a study's trials with Ray Tune, on a Ray that was started before."""

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from results.run_folder import RunFolder
from san_core.command_line import print_message
from san_core.data.prepared import PreparedData
from san_core.environment_variables import environment_variables
from san_core.errors import InputError
from tuning.execution.checkpoint_files import CheckpointFiles
from tuning.execution.checkpoints import OldCheckpoints, checkpoint_folder
from tuning.execution.cluster_watch import Nodes
from tuning.execution.cohort_adapters import CohortLink, CohortSearcher
from tuning.execution.cohort_worker import CohortWorker
from tuning.execution.driver_files import driver_files
from tuning.execution.low_memory import FewerAtOnce, LowMemoryError
from tuning.execution.ray_session import has_other_nodes, ray_stays, same_address
from tuning.execution.replaced import replaced
from tuning.execution.scheduler import Link, StudyScheduler
from tuning.execution.shared_files import check_files
from tuning.execution.trial_setup import Limits, TrialSetup
from tuning.execution.tune_adapters import StudySearcher, TuneLink
from tuning.execution.tune_errors import explain_errors
from tuning.execution.watchdog import end_if_ray_dies, is_dead
from tuning.execution.worker import SANWorker
from tuning.study.cohorts import Cohorts
from tuning.study.study import Study
from tuning.study.tune_interface import (
    CHECKPOINT_FOLDER,
    DRIVER_FILES,
    JOB,
    RUN_AND_STUDY,
    TRIAL_SETUP,
    NotInSnapshots,
    only_trial,
)

TUNE_VARIABLES = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no logs of its own per trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it does not catch Ctrl-C
    "TUNE_STATE_REFRESH_PERIOD": str(10**9),  # it does not ask Ray for its resources, which the placement knows
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),  # no snapshots, because nothing would read them
    "RAY_AIR_NEW_OUTPUT": "0",  # its older output, which prints nothing with verbose=0; the newer prints to stdout
}
"""Environment variables that Tune reads when it starts: they hold while it runs."""

MOST_PENDING = 10_000
"""Most trials that Tune starts at a time where the searcher alone bounds how many there are."""


@dataclass(frozen=True)
class Callbacks:
    """Functions that are called while trials run, each time after the study was told.

    Attributes:
        tune_callbacks: callbacks for Ray Tune.
        on_ray_death: function called with a reason before the program ends because Ray died; None for nothing.
    """

    tune_callbacks: Sequence[tune.Callback] = ()
    on_ray_death: Callable[[str], object] | None = None


def run_trials(
    study: Study,
    setup: TrialSetup,
    limits: Limits,
    run: RunFolder,
    *,
    worker: type[tune.Trainable] | None = None,
    callbacks: Callbacks | None = None,
) -> None:
    """Runs the study's trials until none is left; the journal has every score and every end as soon as it is known.

    If a machine's memory runs low, the running trials are put back and go on with fewer at once.

    Args:
        study: the study whose trials are run.
        setup: settings that all trials have in common.
        limits: limits that trials run under.
        run: folder of the run. What an earlier Tune left there is deleted.
        worker: class of the workers that train; None for the one that suits the setup.
        callbacks: further callbacks; None for none.

    Raises:
        InputError: if the trials cannot go on: the journal, a checkpoint or the data cannot be used any more, one trial
            is too much for the memory, trial after trial fails, or Ray fails. What was written is safe.
    """
    callbacks, advice = callbacks or Callbacks(), how_to_go_on(run)
    fewer = FewerAtOnce(setup)
    while True:
        try:
            with end_if_ray_dies(advice, callbacks.on_ray_death):
                _run_tune(study, fewer.setup, limits, run, worker, callbacks.tune_callbacks)
            return
        except LowMemoryError as error:
            print_message(fewer.reduce(error, study.epochs_recorded, advice))
        except OSError as error:
            raise InputError(
                f"{run.shown} cannot be written: {os.strerror(error.errno or 0)}; what had finished is safe; "
                f"when it can be written again, {_again(run)}"
            ) from error


def how_to_go_on(run: RunFolder) -> str:
    """The end of an error line: how the search goes on."""
    return f"what was recorded is safe; {_again(run)}"


def _again(run: RunFolder) -> str:
    return f"run again with --resume {run.shown}{same_address()} to go on"


def _run_tune(
    study: Study,
    setup: TrialSetup,
    limits: Limits,
    run: RunFolder,
    worker: type[tune.Trainable] | None,
    callbacks: Sequence[tune.Callback],
) -> None:
    """Runs trials until none is left, or an error ends Tune.

    Raises:
        OSError: if the journal or a checkpoint cannot be written.
        InputError: if trials cannot go on.
        LowMemoryError: if Ray ended workers for lack of memory.
    """
    name = study.optuna_study.study_name
    shutil.rmtree(run.ray / name, ignore_errors=True)
    folder = checkpoint_folder(run, name)
    old_checkpoints = OldCheckpoints(CheckpointFiles(folder), study, limits.keep_checkpoints)
    old_checkpoints.delete()
    shared_config = {TRIAL_SETUP: setup, CHECKPOINT_FOLDER: folder, RUN_AND_STUDY: (run.name, name)}
    make = _connect_trials if setup.cohort == 1 else _connect_cohorts
    connection = make(study, setup, limits, shared_config, old_checkpoints.delete)
    link = connection.link
    link.check_files = partial(check_files, setup.folders, folder)
    if has_other_nodes():
        link.nodes = Nodes(setup.placement, setup.most_at_once)
    # By default Tune starts one worker after the other. The searcher bounds how many there are at once.
    variables = TUNE_VARIABLES | {
        "TUNE_MAX_PENDING_TRIALS_PG": str(MOST_PENDING if link.nodes else setup.placement.max_concurrent)
    }
    tuner = _make_tuner(worker or connection.worker, name, connection, run.ray, callbacks)
    try:
        with (
            environment_variables(variables),
            _no_cleanup_without_ray(),
            explain_errors(run.log, how_to_go_on(run)),
            _other_nodes(link, setup, None if run.settings.get("storage") else folder),
        ):
            tuner.fit()
    except KeyboardInterrupt:
        if ray_stays() and link.controller is not None and not is_dead():
            link.controller.cleanup()  # type: ignore[no-untyped-call]
        raise
    finally:
        if not isinstance(link.early_end, OSError):
            study.finish_or_interrupt_trials()
            old_checkpoints.delete()
    _raise_early_end(link.early_end, run)


@contextlib.contextmanager
def _other_nodes(link: Link, setup: TrialSetup, checkpoints: str | None) -> Iterator[None]:
    """Gives the other nodes of a cluster, if there are any, the files of this machine, and watches the nodes.

    Args:
        link: its `shared_config` tells workers where the files are.
        setup: of the study's trials.
        checkpoints: folder of the checkpoints on this machine; None if all nodes reach it.
    """
    if link.nodes is None:
        yield
        return
    data = [PreparedData.open(Path(folder)) for folder in setup.folders]
    folders = {each.fingerprint: each.folder for each in data}
    with driver_files(folders, checkpoints, setup.data_uris) as files, link.nodes.watched(files):
        link.shared_config[DRIVER_FILES] = files
        yield


@contextlib.contextmanager
def _no_cleanup_without_ray() -> Iterator[None]:
    """Has Tune end without what it asks Ray for at the end, if Ray is dead: it would wait for ever."""
    cleanup = TuneController.cleanup

    def cleanup_if_alive(controller: TuneController) -> None:
        if not is_dead():
            cleanup(controller)  # type: ignore[no-untyped-call]

    with replaced(TuneController, "cleanup", cleanup_if_alive):
        yield


class _OwnSignals(NotInSnapshots, tune.Callback):
    """Puts the handler of SIGUSR1 back that there was: Tune sets one of its own when it starts, and leaves it."""

    def __init__(self) -> None:
        self._before = signal.getsignal(signal.SIGUSR1) if hasattr(signal, "SIGUSR1") else None

    def setup(self, *args: object, **info: object) -> None:
        """Tune has started."""
        del args, info
        if self._before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, self._before)


def _raise_early_end(error: Exception | None, run: RunFolder) -> None:
    if isinstance(error, InputError):
        raise InputError(f"{error}; {how_to_go_on(run)}") from error
    if error is not None:
        raise error


@dataclass(frozen=True)
class _Connection:
    """What connects a study to Tune.

    Attributes:
        link: what searcher and scheduler share.
        searcher: gives Tune what to run.
        worker: what Tune runs.
        name: names what Tune runs.
        max_failures: how often Tune itself runs something again that failed.
    """

    link: Link
    searcher: Searcher
    worker: type[tune.Trainable]
    name: Callable[[Trial], str]
    max_failures: int


def _connect_trials(
    study: Study, setup: TrialSetup, limits: Limits, shared_config: Mapping[str, Any], on_end: Callable[[], object]
) -> _Connection:
    """Each trial of the study is one of Tune's."""
    link = TuneLink(study, setup.placement, limits, shared_config=shared_config, on_end=on_end)
    return _Connection(
        link,
        StudySearcher(link),
        SANWorker,
        lambda trial: f"trial-{only_trial(trial.config):04d}",
        limits.max_failures,
    )


def _connect_cohorts(
    study: Study, setup: TrialSetup, limits: Limits, shared_config: Mapping[str, Any], on_end: Callable[[], object]
) -> _Connection:
    """Each attempt at a job of a cohort is a trial of Tune's."""
    workers = setup.placement.max_concurrent
    cohorts = Cohorts(study, width=setup.cohort, workers=workers, max_failures=limits.max_failures)
    link = CohortLink(cohorts, shared_config=shared_config, on_end=on_end)
    return _Connection(
        link,
        CohortSearcher(link),
        CohortWorker,
        lambda trial: f"cohort-{trial.config[JOB].number:04d}",
        max_failures=0,
    )


def _make_tuner(
    worker: type[tune.Trainable],
    study_name: str,
    connection: _Connection,
    folder: Path,
    callbacks: Sequence[tune.Callback],
) -> tune.Tuner:
    name = connection.name  # Tune pickles the functions below, and a study cannot be pickled
    return tune.Tuner(
        worker,
        tune_config=tune.TuneConfig(
            search_alg=connection.searcher,
            scheduler=StudyScheduler(connection.link),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=name,
            trial_dirname_creator=lambda trial: f"{name(trial)}-{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name=study_name,
            failure_config=tune.FailureConfig(max_failures=connection.max_failures),
            storage_path=str(folder.resolve()),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[_OwnSignals(), *callbacks],
            verbose=0,
        ),
    )
