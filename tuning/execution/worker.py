"""A worker: the process in which Ray Tune runs trials. Each step is one epoch."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from results.preparations import ONLY, preparation_name
from san_core.data.prepared import PreparedData
from san_core.folds import FoldedTraining, new_training
from san_core.training import EpochResult, Training
from tuning.execution.checkpoints import Checkpoints, CheckpointTimer, DamagedCheckpointError
from tuning.execution.driver_files import DriverFiles, RelayedCheckpoints
from tuning.execution.node_data import data_on_this_node
from tuning.execution.resources import resources_of
from tuning.execution.trial_setup import TrialSetup
from tuning.monitoring.trial_monitor import TrialMonitor
from tuning.study.live_trial import Epoch
from tuning.study.tune_interface import (
    CHECKPOINT_FOLDER,
    DRIVER_FILES,
    EPOCHS,
    GPU_SHARE,
    RECORDED,
    RUN_AND_STUDY,
    TRIAL_SETUP,
    TRIALS,
)


class SANWorker(tune.Trainable):
    """Trains trials, one after the other, in one process."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """The cores and GPUs that Ray reserves for a trial."""
        return resources_of(config)

    def setup(self, config: dict[str, Any]) -> None:
        """Prepares the process and its first trial."""
        setup: TrialSetup = config[TRIAL_SETUP]
        limit_process(setup.placement.cpus, config.get(GPU_SHARE, setup.placement.gpus))
        self._location = describe_location()
        self._data, self._checkpoints = files_of(config)
        self._trial_monitor = TrialMonitor(*config[RUN_AND_STUDY]) if setup.show_in_dashboard else None
        self._training: Training | FoldedTraining | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepares the next trial, from its checkpoint if it has one."""
        ((number, settings),) = new_config[TRIALS].items()
        setup: TrialSetup = new_config[TRIAL_SETUP]
        self.cleanup()
        if self._trial_monitor:
            self._trial_monitor.start_trial(number, settings)
        config, data = setup.config(settings), self._data[preparation_name(settings)]
        self._number, self._checkpoint_timer, self._note = number, CheckpointTimer(), ""
        self._training = new_training(config, data, setup.folds, metric=setup.metric)
        try:
            self._results = self._checkpoints.load(number, self._training)
        except DamagedCheckpointError as error:
            self._training, self._results = None, []  # it may be restored in part
            self._training = new_training(config, data, setup.folds, metric=setup.metric)
            self._note = starts_anew(error)
        # The checkpoint may be ahead of the journal, or the study may not have decided on its last epoch.
        self._unreported = [
            each for each in self._results if each.epoch > new_config.get(RECORDED, 0)
        ] or self._results[-1:]
        return True

    def step(self) -> dict[str, Any]:
        """Trains one epoch and reports it; the study decides whether it was the last."""
        training = self._training
        if training is None:
            raise RuntimeError("step() was called before setup()")
        if self._unreported:
            result = self._unreported.pop(0)
        else:
            if self._trial_monitor:
                self._trial_monitor.start_epoch()
            result = training.run_epoch()
            self._results.append(result)
            if training.finished or self._checkpoint_timer.is_due():
                self._checkpoints.save(self._number, training, self._results)
        epoch = as_epoch(result, training.seconds, self._location, result.per_second(training.examples))
        epoch, self._note = replace(epoch, note=self._note), ""
        if self._trial_monitor:
            self._trial_monitor.end_epoch({self._number: epoch})
        return {EPOCHS: [(self._number, epoch)]}

    def cleanup(self) -> None:
        """Ends the last trial, and frees its memory before the next trial needs it."""
        if self._trial_monitor:
            self._trial_monitor.end_trial()
        self._training = None

    def __repr__(self) -> str:
        return "SAN worker"


def starts_anew(error: DamagedCheckpointError) -> str:
    """What the user is told of a trial whose checkpoint is damaged."""
    return f"starts anew, since {error}"


def as_epoch(result: EpochResult, seconds: float, worker: str, examples_per_second: float | None) -> Epoch:
    """What the study is told of an epoch.

    Args:
        result: result of the epoch.
        seconds: time spent on training and scoring in all epochs so far.
        worker: where it ran, see `describe_location`.
        examples_per_second: see `Epoch`.
    """
    score = result.score or 0.0
    return Epoch(
        number=result.epoch,
        score=score,
        seconds=seconds,
        diverged=result.diverged,
        worker=worker,
        loss=result.loss,
        examples_per_second=examples_per_second,
        by_question=result.by_question,
    )


def files_of(config: Mapping[str, Any]) -> tuple[dict[str, PreparedData], Checkpoints]:
    """The data that a worker trains on, by the preparation's name, and where its trials' checkpoints go.

    Raises:
        NodeUnusableError: if the data cannot be copied to this node.
    """
    folder: str = config[CHECKPOINT_FOLDER]
    setup, files = config[TRIAL_SETUP], config.get(DRIVER_FILES)
    names = list(setup.preparations) or [ONLY]
    if not isinstance(files, DriverFiles) or files.are_here:
        data = [PreparedData.open(Path(each)) for each in setup.folders]
        return dict(zip(names, data, strict=True)), Checkpoints(folder)
    relayed = RelayedCheckpoints(files) if files.has_checkpoints else folder
    asked = [replace(files, fingerprint=each.fingerprint) for each in setup.preparations.values()] or [files]
    data = [data_on_this_node(Path(each), of) for each, of in zip(setup.folders, asked, strict=True)]
    return dict(zip(names, data, strict=True)), Checkpoints(relayed)


def limit_process(cpus: int, gpus: float) -> None:
    """Has this process use so many threads, and allocate at most its share of a GPU's memory."""
    torch.set_num_threads(cpus)
    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpus))


def describe_location() -> str:
    """The node's address and the GPU, or this process if it has no GPU."""
    context = ray.get_runtime_context()
    gpus = context.get_accelerator_ids().get("GPU", [])
    device = f"GPU {', '.join(gpus)}" if gpus else f"worker {os.getpid()}"
    return f"{ray.util.get_node_ip_address()} {device}"  # type: ignore[no-untyped-call]
