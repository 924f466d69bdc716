"""Ray metrics of running trials; docs/monitoring.md shows how to read them with Prometheus and Grafana."""

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
"""The description of each gauge, by name. Ray exports a gauge with `ray_` before its name."""

TAGS = ("run", "study", "trial", "parameters")
"""Tags of each gauge: the names of run and study, the trial's number, and its parameters."""

SECONDS_BETWEEN = 5.0
"""Seconds after which a value is set again while the next epoch runs.

Every 10 seconds Ray exports the values that were set since, and it drops a value that was not set again for 20 seconds.
So the values of a trial that has ended are gone after half a minute.
"""


class TrialGauges:
    """The gauges of the trials that a worker runs."""

    def __init__(self) -> None:
        self._gauges = {name: Gauge(name, description, TAGS) for name, description in GAUGES.items()}
        self._values: dict[str, tuple[Mapping[str, str], Mapping[str, float]]] = {}  # by trial
        self._repeats = False
        self._lock = threading.Lock()
        threading.Thread(target=self._set_repeatedly, name="gauges", daemon=True).start()

    def set(self, tags: Mapping[str, str], values: Mapping[str, float]) -> None:
        """Sets the gauges of a trial once.

        Args:
            tags: a value for each of `TAGS`.
            values: values by the gauge's name, see `GAUGES`.
        """
        with self._lock:
            self._values[tags["trial"]], self._repeats = (tags, values), False
            self._set_gauges(tags, values)

    def repeat(self) -> None:
        """Sets the gauges of all trials to the same values again and again, until `set` or `clear` is called."""
        with self._lock:
            self._repeats = True

    def clear(self) -> None:
        """Forgets the values."""
        with self._lock:
            self._values, self._repeats = {}, False

    def _set_repeatedly(self) -> None:
        while True:
            time.sleep(SECONDS_BETWEEN)
            with self._lock:
                for tags, values in self._values.values() if self._repeats else ():
                    self._set_gauges(tags, values)

    def _set_gauges(self, tags: Mapping[str, str], values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._gauges[name].set(value, dict(tags))
