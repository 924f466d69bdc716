"""A trial as Ray Tune runs it: one worker, one epoch per step."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.training import Training
from tuning.execution.checkpoints import Checkpoints, Clock
from tuning.execution.tune_adapters import (
    CHECKPOINTS,
    EPOCH,
    EXAMPLES_PER_SECOND,
    GPUS,
    LOSS,
    NAMES,
    NUMBER,
    SETTINGS,
    SHARED,
)
from tuning.monitoring.trial_monitor import Monitor
from tuning.study.study import Epoch


@dataclass(frozen=True)
class Shared:
    """What all trials of a study share.

    Attributes:
        data: folder of the prepared data set.
        metric: name of the objective.
        fixed: training settings that are not searched.
        cpus: cores, and threads, of a trial.
        gpus: of a trial.
        signs: whether running trials are to show in Ray's dashboard and metrics.
    """

    data: str
    metric: str
    fixed: Mapping[str, Any]
    cpus: int
    gpus: float
    signs: bool


class SANWorker(tune.Trainable):
    """Trains trials, one after the other, without being started anew."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """What Ray is to set aside for a trial: a thread needs a core."""
        return tune.PlacementGroupFactory([{"CPU": config[SHARED].cpus, "GPU": config[SHARED].gpus}])

    def setup(self, config: dict[str, Any]) -> None:
        """Prepares for the first trial."""
        shared: Shared = config[SHARED]
        torch.set_num_threads(shared.cpus)
        if torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(min(1.0, config.get(GPUS, shared.gpus)))
        self._where = _where()
        self._data = PreparedData.open(Path(shared.data))
        self._checkpoints = Checkpoints(config[CHECKPOINTS])
        self._trial_monitor = Monitor(*config[NAMES]) if shared.signs else None
        self._training: Training | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepares for the next trial."""
        settings, shared = new_config[SETTINGS], new_config[SHARED]
        self.cleanup()
        if self._trial_monitor:
            self._trial_monitor.begin(new_config[NUMBER], settings)
        config = TrainingConfig.from_dict({**shared.fixed, **settings})
        self._number, self._clock = new_config[NUMBER], Clock()
        self._training = Training(config, self._data, metric=shared.metric)
        # An interrupted trial reports its last epoch again: the search may not have heard of it.
        self._unreported = self._checkpoints.load(self._number, self._training)
        return True

    def step(self) -> dict[str, Any]:
        """Trains one epoch; the study decides whether it was the last."""
        training = self._training
        if training is None:
            raise RuntimeError("step() was called before setup()")
        result, self._unreported = self._unreported, None
        if result is None:
            if self._trial_monitor:
                self._trial_monitor.epoch_begins()
            result = training.run_epoch()
            if training.finished or self._clock.is_due():
                self._checkpoints.save(self._number, training, result)
        if self._trial_monitor:
            self._trial_monitor.epoch_ended(result, training.examples)
        epoch = Epoch(result.epoch, result.score or 0.0, training.seconds, result.diverged, self._where)
        return {EPOCH: epoch, LOSS: result.loss, EXAMPLES_PER_SECOND: result.per_second(training.examples)}

    def cleanup(self) -> None:
        """Shows the last trial no more, and lets go of its memory before the next trial takes its own."""
        if self._trial_monitor:
            self._trial_monitor.end()
        self._training = None

    def __repr__(self) -> str:
        return "SAN worker"


def _where() -> str:
    """The node's address and the GPU, or this process where it has none."""
    context = ray.get_runtime_context()
    gpus = context.get_accelerator_ids().get("GPU", [])
    place = f"GPU {', '.join(gpus)}" if gpus else f"worker {os.getpid()}"
    return f"{ray.util.get_node_ip_address()} {place}"  # type: ignore[no-untyped-call]
