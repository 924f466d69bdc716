"""Shows the trials that a worker runs, in Ray's dashboard and in Ray's metrics."""

import os
import threading
from collections.abc import Mapping
from typing import Any

import ray

from san_core.training import EpochResult
from tuning.monitoring.dashboard_actor import TrialActor
from tuning.monitoring.metrics import TAGS, TrialGauges

DASHBOARD_DELAY = float(os.environ.get("SAN_DASHBOARD_DELAY", "20"))
"""Seconds after which a trial gets an actor in the dashboard. Starting one costs about two seconds of a core."""


class TrialMonitor:
    """Shows a worker's trials, one after the other.

    Args:
        run: name of the run.
        study: name of the study that the trials belong to.
    """

    def __init__(self, run: str, study: str) -> None:
        self._run, self._study = run, study
        self._gauges = TrialGauges()
        self._lock = threading.Lock()
        self._tags: dict[str, str] = {}
        self._log_lines: list[str] = []
        self._actor: Any = None
        self._timer: threading.Timer | None = None

    def start_trial(self, number: int, settings: Mapping[str, Any]) -> None:
        """Shows a trial from now on; the actor follows after `DASHBOARD_DELAY`."""
        parameters = _describe_parameters(settings)
        self._tags = dict(zip(TAGS, (self._run, self._study, str(number), parameters), strict=True))
        self._log_lines = [f"trial {number} of {self._run}, {self._study}"]
        self._log_lines += [f"  {name} = {value}" for name, value in settings.items()]
        self._timer = threading.Timer(DASHBOARD_DELAY, self._start_actor, [f"trial {number}: {parameters}"])
        self._timer.daemon = True
        self._timer.start()

    def start_epoch(self) -> None:
        """Keeps the metrics of the last epoch visible while the next one runs."""
        self._gauges.repeat()

    def end_epoch(self, result: EpochResult, examples: int) -> None:
        """Shows the result of an epoch.

        Args:
            result: result of the epoch.
            examples: number of questions in the epoch.
        """
        accuracy, rate = result.score or 0.0, result.per_second(examples)
        values = {
            "san_trial_accuracy": accuracy,
            "san_trial_loss": result.loss,
            "san_trial_epoch": result.epoch,
            "san_trial_examples_per_second": rate,
        }
        self._gauges.set(self._tags, values)
        line = f"epoch {result.epoch}: loss {result.loss:.4f}, accuracy {accuracy:.2%}, {rate:,.0f} examples/s"
        with self._lock:
            self._log_lines.append(line)
            if self._actor is not None:
                self._actor.log.remote(line)

    def end_trial(self) -> None:
        """Stops showing the trial; its log stays in the dashboard."""
        self._gauges.clear()
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._actor = None

    def _start_actor(self, title: str) -> None:
        with self._lock:
            if threading.current_thread() is self._timer:  # otherwise the trial has ended meanwhile
                self._actor = ray.remote(num_cpus=0)(TrialActor).remote(title)
                self._actor.log.remote("\n".join(self._log_lines))


def _describe_parameters(settings: Mapping[str, Any]) -> str:
    """The parameters in one line, without the seed."""
    values = (
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in settings.items()
        if name != "seed"
    )
    return ", ".join(values)
