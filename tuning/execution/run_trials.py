"""Runs a study's trials with Ray Tune, on a Ray that was started before."""

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ray import tune

from results.run_folder import RunFolder
from san_core.errors import InputError
from tuning.execution.checkpoints import Checkpoints, OldCheckpoints, checkpoint_folder
from tuning.execution.trial_setup import Limits, TrialSetup
from tuning.execution.tune_adapters import StudyScheduler, StudySearcher, TuneLink
from tuning.execution.watchdog import exit_if_ray_dies
from tuning.execution.worker import SANWorker
from tuning.study.study import Study
from tuning.study.tune_interface import CHECKPOINT_FOLDER, RUN_AND_STUDY, TRIAL_NUMBER, TRIAL_SETUP

# Tune reads these when it starts: it writes no logs of its own per trial, does not catch Ctrl-C, and writes no
# snapshots, because nothing would read them.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", str(10**9))


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
    worker: type[tune.Trainable] = SANWorker,
    callbacks: Callbacks | None = None,
) -> None:
    """Runs the study's trials until none is left; the journal has every score and every end as soon as it is known.

    Args:
        study: the study whose trials are run.
        setup: settings that all trials have in common.
        limits: limits that trials run under.
        run: folder of the run. What an earlier Tune left there is deleted.
        worker: class of the workers that train.
        callbacks: further callbacks; None for none.

    Raises:
        InputError: if the journal, or a checkpoint, can no longer be written. What was written is safe.
    """
    callbacks = callbacks or Callbacks()
    name = study.optuna_study.study_name
    shutil.rmtree(run.ray / name, ignore_errors=True)
    folder = checkpoint_folder(run, name)
    old_checkpoints = OldCheckpoints(Checkpoints(folder), study, limits.keep_checkpoints)
    old_checkpoints.delete()
    shared_config = {TRIAL_SETUP: setup, CHECKPOINT_FOLDER: folder, RUN_AND_STUDY: (run.name, name)}
    link = TuneLink(study, setup.placement, limits, shared_config=shared_config, on_end=old_checkpoints.delete)
    tuner = _make_tuner(worker, link, run, callbacks.tune_callbacks)
    try:
        advice = f"what was recorded is safe; run again with --resume {run.path} to go on"
        # Even with verbose=0, Tune prints to stdout where its own results are. Ours are elsewhere.
        with contextlib.redirect_stdout(io.StringIO()), exit_if_ray_dies(advice, callbacks.on_ray_death):
            tuner.fit()
    finally:
        if link.is_writable:
            study.finish_or_interrupt_trials()
            old_checkpoints.delete()
    if link.write_error is not None:
        raise InputError(
            f"{run.path} cannot be written: {os.strerror(link.write_error.errno or 0)}; what had finished is safe; "
            f"when it can be written again, run again with --resume {run.path} to go on"
        )


def _make_tuner(
    worker: type[tune.Trainable], link: TuneLink, run: RunFolder, callbacks: Sequence[tune.Callback]
) -> tune.Tuner:
    # By default Tune starts one worker after the other. `StudySearcher` bounds how many trials there are at once.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(link.placement.max_concurrent)
    return tune.Tuner(
        worker,
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(link),
            scheduler=StudyScheduler(link),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=lambda trial: f"{_trial_name(trial)}-{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name=link.study.optuna_study.study_name,
            failure_config=tune.FailureConfig(max_failures=link.limits.max_failures),
            storage_path=str(run.ray.resolve()),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=list(callbacks),
            verbose=0,
        ),
    )


def _trial_name(trial: tune.experiment.Trial) -> str:
    return f"trial-{trial.config[TRIAL_NUMBER]:04d}"
