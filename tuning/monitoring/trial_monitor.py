"""Shows the trials that a worker runs, in Ray's dashboard and in its metrics."""

import os
import threading
from collections.abc import Mapping
from typing import Any

import ray

from san_core.training import EpochResult
from tuning.monitoring.dashboard_actor import Trial
from tuning.monitoring.metrics import TAGS, Gauges

SIGN_AFTER = float(os.environ.get("SAN_SIGN_AFTER", "20"))
"""Seconds after which a trial gets its sign in the dashboard: starting one costs a core about two seconds."""


class Monitor:
    """Shows a worker's trials, one after the other.

    Args:
        run: the run's name.
        study: name of the study the trials belong to.
    """

    def __init__(self, run: str, study: str) -> None:
        self._run, self._study = run, study
        self._gauges = Gauges()
        self._lock = threading.Lock()
        self._tags: dict[str, str] = {}
        self._lines: list[str] = []
        self._sign: Any = None
        self._timer: threading.Timer | None = None

    def begin(self, number: int, settings: Mapping[str, Any]) -> None:
        """Shows a trial from now on."""
        parameters = _short(settings)
        self._tags = dict(zip(TAGS, (self._run, self._study, str(number), parameters), strict=True))
        self._lines = [f"trial {number} of {self._run}, {self._study}"]
        self._lines += [f"  {name} = {value}" for name, value in settings.items()]
        self._timer = threading.Timer(SIGN_AFTER, self._put_up_sign, [f"trial {number}: {parameters}"])
        self._timer.daemon = True
        self._timer.start()

    def epoch_begins(self) -> None:
        """Goes on showing the last epoch while the next one runs."""
        self._gauges.hold()

    def epoch_ended(self, result: EpochResult, examples: int) -> None:
        """Shows an epoch.

        Args:
            result: of the epoch.
            examples: questions it trained on.
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
            self._lines.append(line)
            if self._sign is not None:
                self._sign.log.remote(line)

    def end(self) -> None:
        """Shows the trial no more; its log stays in the dashboard."""
        self._gauges.clear()
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._sign = None

    def _put_up_sign(self, title: str) -> None:
        with self._lock:
            if threading.current_thread() is self._timer:  # else its trial ended meanwhile
                self._sign = ray.remote(num_cpus=0)(Trial).remote(title)
                self._sign.log.remote("\n".join(self._lines))


def _short(settings: Mapping[str, Any]) -> str:
    """Parameters in a line; the seed, which no user chose, is left out."""
    values = (
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in settings.items()
        if name != "seed"
    )
    return ", ".join(values)
