"""Starts Ray, and runs a study's trials on it with Ray Tune."""

import contextlib
import io
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import ray
from ray import tune

from san_core.errors import InputError
from tuning.checkpoints import keep_best
from tuning.run_folder import RunFolder
from tuning.study import Study
from tuning.trial import CHECKPOINTS, SHARED, SANWorker, Shared
from tuning.tune_adapters import NUMBER, StudyScheduler, StudySearcher

# Read by Ray when it is imported or started: nobody is asked for usage data; Tune neither writes logs of
# its own per trial nor catches Ctrl-C; a trial without a GPU sees none.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")


def machine_cpus() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def ray_session(log: Path, *, cpus: int, gpus: int, dashboard: bool) -> Iterator[str | None]:
    """Ray on this machine for as long as the context lasts; its chatter goes to a log file.

    Args:
        log: file for what Ray has to say.
        cpus: cores Ray may hand out.
        gpus: GPUs Ray may hand out.
        dashboard: whether to start the dashboard, on 127.0.0.1.

    Yields:
        The dashboard's address, or None.

    Raises:
        InputError: if Ray does not start.
    """
    with _chatter_to(log):
        try:
            context = ray.init(
                address="local",
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                log_to_driver=False,
            )
        except (RuntimeError, ConnectionError, ValueError) as error:
            ray.shutdown()
            raise InputError(f"Ray did not start: {' '.join(str(error).split())}; {log} has the details") from error
        try:
            _make_token_private()
            yield f"http://{context.dashboard_url}" if dashboard else None
        finally:
            ray.shutdown()


@dataclass(frozen=True)
class Limits:
    """What bounds the running of trials.

    Attributes:
        slots: trials that run at once.
        max_failures: how often a trial whose worker fails goes on from its checkpoint before it counts as failed.
        keep: how many of the best finished trials keep their checkpoint.
    """

    slots: int
    max_failures: int = 2
    keep: int = 3


def run_trials(study: Study, shared: Shared, limits: Limits, run: RunFolder) -> None:
    """Runs the study's trials to the end; every score and end is in the journal as soon as it is known.

    Args:
        study: asks for trials and remembers them.
        shared: what all trials share.
        limits: what bounds them.
        run: where Tune may keep what it needs; what an earlier Tune left there is deleted.
    """
    name = study.optuna.study_name
    shutil.rmtree(run.ray / name, ignore_errors=True)
    checkpoints = (run.checkpoints / name).resolve()
    tidy = partial(keep_best, checkpoints, study.optuna, limits.keep)
    common = {SHARED: shared, CHECKPOINTS: str(checkpoints)}
    searcher = StudySearcher(study, slots=limits.slots, common=common, on_end=tidy)
    tuner = tune.Tuner(
        SANWorker,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=StudyScheduler(study, searcher),
            num_samples=study.total,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=name,
            failure_config=tune.FailureConfig(max_failures=limits.max_failures),
            storage_path=str(run.ray.resolve()),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            tuner.fit()
    finally:
        study.interrupt()
        tidy()


def _trial_name(trial: tune.experiment.Trial) -> str:
    return f"trial-{trial.config[NUMBER]:04d}"


@contextlib.contextmanager
def _chatter_to(log: Path) -> Iterator[None]:
    """Sends the log messages of Ray's modules to a file and nowhere else."""
    try:
        handler = logging.FileHandler(log, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {log}: {error}") from error
    names = [name for name in logging.root.manager.loggerDict if name == "ray" or name.startswith("ray.")]
    before = {name: logging.getLogger(name).handlers for name in names}
    for name in names:
        logging.getLogger(name).handlers = [handler] if name == "ray" or before[name] else []
    try:
        yield
    finally:
        for name in names:
            logging.getLogger(name).handlers = before[name]
        handler.close()


def _make_token_private() -> None:
    """Ray writes the dashboard's token readable for everybody (2.60); it is the key to running code."""
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file():
        token.chmod(0o600)
