"""Weights & Biases: a run per trial, in files in the run folder, or sent at once where WANDB_MODE=online says so."""

import os

import ray
from ray.air.integrations.wandb import WandbLoggerCallback
from ray.tune.experiment import Trial
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuning.monitoring.trackers.tracked_trial import INTERRUPTED, TrackedStudy


class WandbLogger(WandbLoggerCallback):
    """Ray's logger callback, which runs a process per trial. A process that failed is an error here."""

    def setup(self, *args: object, **kwargs: object) -> None:
        """Has processes run on this machine. If nothing is sent they get no API key, since Ray's dashboard shows it."""
        super().setup(*args, **kwargs)  # type: ignore[no-untyped-call]
        if os.environ["WANDB_MODE"] != "online":
            this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            process = ray.remote(self._logger_actor_cls)
            self._remote_logger_class = process.options(num_cpus=0, scheduling_strategy=this_node)  # type: ignore[assignment]

    def log_trial_start(self, trial: Trial) -> None:
        """Starts the trial's process, in the trial's folder."""
        trial.init_local_path()  # type: ignore[no-untyped-call]
        super().log_trial_start(trial)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Writes how the trial ended beside its hyperparameters."""
        self.log_trial_result(0, trial, {"config": trial.evaluated_params or {"state": INTERRUPTED}})
        super().log_trial_end(trial, failed)

    def _cleanup_logging_actor(self, trial: Trial) -> None:
        outcome = self._trial_logging_futures[trial]
        ended = ray.wait([outcome], timeout=0)[0]
        super()._cleanup_logging_actor(trial)
        if not ended:
            raise TimeoutError(f"{trial} was not written to its end")
        ray.get(outcome)


def open_logger(study: TrackedStudy) -> WandbLogger:
    """The logger of a study's trials."""
    logger = WandbLogger(
        project=os.environ.get("WANDB_PROJECT", "san-tuner"),
        group=study.run,
        mode=os.environ["WANDB_MODE"],
        resume="allow",
        upload_timeout=60,
    )
    logger.setup()
    return logger
