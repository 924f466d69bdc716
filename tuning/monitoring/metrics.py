"""What Ray's metrics say of running trials; docs/monitoring.md shows who reads it."""

import threading
import time
from collections.abc import Mapping

from ray.util.metrics import Gauge

GAUGES = {
    "san_trial_accuracy": "validation score of the last epoch by the search's metric, 0 to 1",
    "san_trial_loss": "training loss of the last epoch, in nats",
    "san_trial_epoch": "epochs done",
    "san_trial_examples_per_second": "training questions of the last epoch over its time, scoring included",
}
"""Each gauge and what it says. Ray exports it with `ray_` before its name."""

TAGS = ("run", "study", "trial", "parameters")
"""What tells trials apart: names of run and study, the trial's number and, following from it, its parameters."""

SECONDS_BETWEEN = 5.0
"""Every 10 seconds Ray exports what was set since, and 20 seconds later it drops it. So values are set again while the
next epoch runs; those of a trial that ended are gone half a minute later, also where its worker has nothing to do."""


class Gauges:
    """Exports the newest values of the trial that a worker runs."""

    def __init__(self) -> None:
        self._gauges = {name: Gauge(name, meaning, TAGS) for name, meaning in GAUGES.items()}
        self._tags: Mapping[str, str] = {}
        self._values: Mapping[str, float] = {}
        self._held = False
        self._lock = threading.Lock()
        threading.Thread(target=self._repeat, name="gauges", daemon=True).start()

    def set(self, tags: Mapping[str, str], values: Mapping[str, float]) -> None:
        """Exports values once.

        Args:
            tags: a value for each of `TAGS`.
            values: by gauge, see `GAUGES`.
        """
        with self._lock:
            self._tags, self._values, self._held = tags, values, False
            self._export()

    def hold(self) -> None:
        """Exports the values again and again, until others are set."""
        with self._lock:
            self._held = True

    def clear(self) -> None:
        """Forgets the values."""
        with self._lock:
            self._values, self._held = {}, False

    def _repeat(self) -> None:
        while True:
            time.sleep(SECONDS_BETWEEN)
            with self._lock:
                if self._held:
                    self._export()

    def _export(self) -> None:
        for name, value in self._values.items():
            self._gauges[name].set(value, dict(self._tags))
