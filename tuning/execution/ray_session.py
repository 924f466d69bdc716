"""Starts or joins Ray, and runs a study's trials on it with Ray Tune."""

import contextlib
import io
import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
import torch
from optuna.trial import FrozenTrial, TrialState
from ray import tune

from results.run_folder import RunFolder
from san_core.errors import InputError
from tuning.execution.checkpoints import Checkpoints, checkpoint_place
from tuning.execution.placement import Machine
from tuning.execution.tune_adapters import CHECKPOINTS, NAMES, NUMBER, SHARED, Loan, StudyScheduler, StudySearcher
from tuning.execution.watchdog import ray_watched
from tuning.execution.worker import SANWorker, Shared
from tuning.monitoring.dashboard import Dashboard, make_token
from tuning.study.study import Study

# Read by Ray when it is imported or started: nobody is asked for usage data; Tune neither writes logs of
# its own per trial nor catches Ctrl-C, and keeps no snapshots, since nobody would read them; a trial without
# a GPU sees none.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", str(10**9))
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")


def machine_cpus() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machines(address: str | None) -> list[Machine]:
    """What trials can be placed on: this machine, or the Ray cluster at an address.

    Raises:
        InputError: if no cluster can be joined there.
    """
    if address is None:
        return [Machine(machine_cpus(), torch.cuda.device_count())]
    with _joined(address):
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return [Machine(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]


@contextlib.contextmanager
def ray_session(
    log: Path, *, dashboard: Dashboard | None = None, address: str | None = None, cpus: int | None = None
) -> Iterator[str]:
    """Ray for as long as the context lasts; its chatter goes to a log file.

    Args:
        log: file for what Ray has to say.
        dashboard: where Ray's dashboard is served; None for none. A cluster that is joined has its own.
        address: of a running cluster to join; None starts Ray on this machine.
        cpus: cores Ray may hand out; None for all this process may use.

    Yields:
        The dashboard's address; empty if there is none.

    Raises:
        InputError: if Ray does not start, or the cluster cannot be joined.
    """
    started = _joined(address) if address else _started(cpus or machine_cpus(), log, dashboard)
    with _chatter_to(log), started as url:
        yield url


@contextlib.contextmanager
def _started(cpus: int, log: Path, dashboard: Dashboard | None) -> Iterator[str]:
    make_token()
    place = dashboard or Dashboard()
    try:
        context = ray.init(
            address="local",
            num_cpus=cpus,
            num_gpus=torch.cuda.device_count(),
            include_dashboard=dashboard is not None,
            dashboard_host=place.host,
            dashboard_port=place.port,
            log_to_driver=False,
        )
    except (RuntimeError, ConnectionError, ValueError) as error:
        ray.shutdown()
        raise InputError(f"Ray did not start: {' '.join(str(error).split())}; {log} has the details") from error
    try:
        yield f"http://{context.dashboard_url}" if dashboard else ""
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _joined(address: str) -> Iterator[str]:
    _check_reachable(address)
    try:
        context = ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (RuntimeError, ConnectionError, ValueError) as error:
        ray.shutdown()
        raise InputError(
            f"no Ray cluster can be joined at {address!r}: {' '.join(str(error).split())}; one that asks for a token "
            "is joined with RAY_AUTH_MODE=token in the environment and its token in ~/.ray/auth_token"
        ) from error
    try:
        yield f"http://{context.dashboard_url}" if context.dashboard_url else ""
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Refuses an address where nothing listens; Ray would try for minutes.

    Raises:
        InputError: if it is neither `auto` nor HOST:PORT, or there is no answer.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise InputError(f"--address must be HOST:PORT of a Ray cluster, or auto, but got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster can be joined at {address!r}: {error}") from error


@dataclass(frozen=True)
class Listeners:
    """Who hears of trials besides the study, which hears first.

    Attributes:
        callbacks: told by Ray Tune.
        on_death: told why, where the program ends on the spot because Ray died.
    """

    callbacks: Sequence[tune.Callback] = ()
    on_death: Callable[[str], object] = str


NOBODY = Listeners()


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


def run_trials(
    study: Study,
    shared: Shared,
    limits: Limits,
    run: RunFolder,
    worker: type[tune.Trainable] = SANWorker,
    listeners: Listeners = NOBODY,
) -> None:
    """Runs the study's trials to the end; every score and end is in the journal as soon as it is known.

    Args:
        study: asks for trials and remembers them.
        shared: what all trials share.
        limits: what bounds them.
        run: where Tune may keep what it needs; what an earlier Tune left there is deleted.
        worker: what trains.
        listeners: who else hears of it.

    Raises:
        InputError: if the journal, or a checkpoint, can no longer be written. What was written is safe.
    """
    name = study.optuna.study_name
    shutil.rmtree(run.ray / name, ignore_errors=True)
    place = checkpoint_place(run, name)
    tidy = _KeepBest(Checkpoints(place), study, limits.keep)
    tidy()
    # Else Tune would start one worker after the other. `Loan.slots` still bounds how many trials are asked for.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(limits.slots)
    loan = Loan(
        study,
        slots=limits.slots,
        common={SHARED: shared, CHECKPOINTS: place, NAMES: (run.name, name)},
        on_end=tidy,
        max_failures=limits.max_failures,
    )
    searcher = StudySearcher(loan)
    tuner = tune.Tuner(
        worker,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=StudyScheduler(loan),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=lambda trial: f"{_trial_name(trial)}-{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name=name,
            failure_config=tune.FailureConfig(max_failures=limits.max_failures),
            storage_path=str(run.ray.resolve()),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=list(listeners.callbacks),
            verbose=0,
        ),
    )
    try:
        advice = f"what was recorded is safe, and --resume {run.path} goes on"
        with contextlib.redirect_stdout(io.StringIO()), ray_watched(advice, listeners.on_death):
            tuner.fit()
    finally:
        if loan.broken is None:
            study.interrupt()
            tidy()
    if loan.broken is not None:
        raise InputError(
            f"{run.path} cannot be written: {os.strerror(loan.broken.errno or 0)}; what had finished is safe, "
            f"and --resume {run.path} goes on when it can be written again"
        )


class _KeepBest:
    """Deletes the checkpoints of trials that ended, but of the best complete ones."""

    def __init__(self, checkpoints: Checkpoints, study: Study, keep: int) -> None:
        self._checkpoints = checkpoints
        self._study = study
        self._keep = keep
        self._seen = 0
        self._best: list[FrozenTrial] = []

    def __call__(self) -> None:
        new = self._study.ended[self._seen :]
        complete = [trial for trial in new if trial.state == TrialState.COMPLETE]
        ranked = sorted(self._best + complete, key=lambda trial: (-(trial.value or 0.0), trial.number))
        best = ranked[: self._keep]
        superseded = {trial.number for trial in [*new, *ranked]} - {trial.number for trial in best}
        self._checkpoints.delete(superseded)
        self._seen, self._best = self._seen + len(new), best


def _trial_name(trial: tune.experiment.Trial) -> str:
    return f"trial-{trial.config[NUMBER]:04d}"


class _Log(logging.FileHandler):
    """A log file that may come to the end of the disk without anybody being told in the middle of a search."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Leaves the record out."""
        del record

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def _chatter_to(log: Path) -> Iterator[None]:
    """Sends the log messages of Ray's modules to a file and nowhere else."""
    try:
        handler = _Log(log, encoding="utf-8")
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
