"""A trial as Ray Tune runs it: one worker, one epoch per step."""

import os
import threading
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
from tuning.checkpoints import Checkpoints, Clock
from tuning.sign import Trial
from tuning.study import Epoch
from tuning.tune_adapters import CHECKPOINTS, EPOCH, EXAMPLES_PER_SECOND, GPUS, LOSS, NUMBER, SETTINGS, SHARED

SIGN_AFTER = float(os.environ.get("SAN_SIGN_AFTER", "10"))
"""Seconds after which a trial gets its sign in the dashboard: starting one costs a core about two seconds."""


@dataclass(frozen=True)
class Shared:
    """What all trials of a study share.

    Attributes:
        data: folder of the prepared data set.
        metric: name of the objective.
        fixed: training settings that are not searched.
        cpus: cores, and threads, of a trial.
        gpus: of a trial.
        signs: whether running trials are to show in the dashboard.
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
        self._sign: object = None
        self._training: Training | None = None
        self._sign_timer = threading.Timer(0, lambda: None)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepares for the next trial."""
        settings, shared = new_config[SETTINGS], new_config[SHARED]
        self.cleanup()
        if shared.signs:
            title = _title(new_config[NUMBER], settings)
            self._sign_timer = threading.Timer(SIGN_AFTER, self._put_up_sign, [title])
            self._sign_timer.start()
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
            result = training.run_epoch()
            if training.finished or self._clock.is_due():
                self._checkpoints.save(self._number, training, result)
        epoch = Epoch(result.epoch, result.score or 0.0, training.seconds, result.diverged, self._where)
        return {EPOCH: epoch, LOSS: result.loss, EXAMPLES_PER_SECOND: training.examples / result.seconds}

    def cleanup(self) -> None:
        """Takes the last trial's sign down, and lets go of its memory before the next trial takes its own."""
        self._sign_timer.cancel()
        self._sign_timer = threading.Timer(0, lambda: None)
        self._sign = None
        self._training = None

    def _put_up_sign(self, title: str) -> None:
        sign = ray.remote(num_cpus=0)(Trial).remote(title)
        if threading.current_thread() is self._sign_timer:  # else its trial ended meanwhile
            self._sign = sign

    def __repr__(self) -> str:
        return "SAN worker"


def _where() -> str:
    """The node's address and the GPU, or this process where it has none."""
    context = ray.get_runtime_context()
    gpus = context.get_accelerator_ids().get("GPU", [])
    place = f"GPU {', '.join(gpus)}" if gpus else f"worker {os.getpid()}"
    return f"{ray.util.get_node_ip_address()} {place}"  # type: ignore[no-untyped-call]


def _title(number: int, settings: dict[str, Any]) -> str:
    values = (
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in settings.items()
        if name != "seed"
    )
    return f"trial {number}: {', '.join(values)}"
