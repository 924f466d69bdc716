"""Ray's metrics of running trials, and who reads them: Prometheus, and Grafana's dashboard."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from results.run_folder import RunFolder
from san_core.training import EpochResult
from tests.tuning.commands import LiveSearch
from tuning.monitoring import metrics as gauges
from tuning.monitoring import trial_monitor as monitoring
from tuning.monitoring.metrics import GAUGES, TAGS

MONITORING = Path(__file__).parents[3] / "docs" / "monitoring"
PROMETHEUS = shutil.which("prometheus")
TEMPORARY = "/tmp/ray"
"""Where Ray keeps what it knows of the newest session, unless RAY_TMPDIR says otherwise."""


@dataclass
class NotedGauge:
    """In place of Ray's: notes what is set."""

    name: str
    meaning: str
    tags: tuple[str, ...]
    noted: list[tuple[float, dict[str, str]]] = field(default_factory=list)

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.noted.append((value, tags))


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[float, dict[str, str]]]]:
    """What gauges are set to, by name; a value that is held is set every 10 ms."""
    made: dict[str, list[tuple[float, dict[str, str]]]] = {}

    def make(name: str, meaning: str, tags: tuple[str, ...]) -> NotedGauge:
        return NotedGauge(name, meaning, tags, made.setdefault(name, []))

    monkeypatch.setattr(gauges, "Gauge", make)
    monkeypatch.setattr(gauges, "SECONDS_BETWEEN", 0.01)
    monkeypatch.setattr(monitoring, "DASHBOARD_DELAY", 1000)
    return made


def test_an_epoch_is_exported_with_the_tags_of_its_trial(noted: dict[str, Any]) -> None:
    monitor = monitoring.TrialMonitor("demo", "search")
    monitor.start_trial(3, {"learning_rate": 0.00123456, "hops": 2, "seed": 7})
    monitor.end_epoch(EpochResult(2, 0.25, 0.75, 4.0), 1000)
    tags = {"run": "demo", "study": "search", "trial": "3", "parameters": "learning_rate=0.00123, hops=2"}
    assert tuple(tags) == TAGS
    assert noted == {
        "san_trial_accuracy": [(0.75, tags)],
        "san_trial_loss": [(0.25, tags)],
        "san_trial_epoch": [(2, tags)],
        "san_trial_examples_per_second": [(250.0, tags)],
    }
    monitor.end_trial()


def test_values_are_exported_again_only_while_an_epoch_runs(noted: dict[str, Any]) -> None:
    monitor = monitoring.TrialMonitor("demo", "search")
    times = noted["san_trial_epoch"]
    monitor.start_trial(0, {})
    monitor.start_epoch()  # nothing is known yet
    time.sleep(0.05)
    assert times == []

    monitor.end_epoch(EpochResult(1, 0.5, 0.5, 1.0), 10)
    time.sleep(0.05)
    assert len(times) == 1  # the trial may have ended

    monitor.start_epoch()
    _wait(lambda: len(times) > 3)
    monitor.end_trial()
    time.sleep(0.05)
    before = len(times)
    monitor.start_trial(1, {})
    monitor.start_epoch()
    time.sleep(0.05)
    assert len(times) == before
    assert {value for value, _ in times} == {1}
    monitor.end_trial()


def _panels() -> list[dict[str, Any]]:
    return json.loads((MONITORING / "grafana-dashboard.json").read_text())["panels"]


def _queries() -> list[str]:
    """What Grafana's panels ask Prometheus, for all runs."""
    queries = [target["expr"] for panel in _panels() for target in panel["targets"]]
    return [query.replace("$run", ".*") for query in queries]


def test_the_dashboard_for_grafana_shows_every_gauge_and_nothing_else() -> None:
    named = set(re.findall(r"\bray_\w+", " ".join(_queries())))
    assert named == {f"ray_{name}" for name in GAUGES}
    text = (MONITORING / "grafana-dashboard.json").read_text()
    assert set(re.findall(r"\{\{(\w+)\}\}", text)) <= set(TAGS)
    assert len({panel["id"] for panel in _panels()}) == len(_panels())


@dataclass
class Prometheus:
    """A Prometheus that watches a live search."""

    address: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series a query finds now."""
        url = f"{self.address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]["result"]


@pytest.fixture(scope="module")
def prometheus(live_search: LiveSearch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the configuration that docs/monitoring.md tells of, but for where the test's Ray is."""
    assert PROMETHEUS
    folder = tmp_path_factory.mktemp("prometheus")
    text = (MONITORING / "prometheus.yml").read_text()
    assert f"{TEMPORARY}/session_latest/" in text
    here = folder / "prometheus.yml"
    here.write_text(text.replace(f"{TEMPORARY}/session_latest", str(live_search.session)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [PROMETHEUS, f"--config.file={here}", f"--storage.tsdb.path={folder}", f"--web.listen-address={address}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        yield Prometheus(f"http://{address}")
        process.terminate()


EPOCHS_OF_LIVE_SEARCH = 12


@pytest.mark.skipif(not PROMETHEUS, reason="needs prometheus (apt-get install prometheus)")
def test_prometheus_shows_running_trials_and_no_ended_ones(prometheus: Prometheus, live_search: LiveSearch) -> None:
    running = 'ray_san_trial_accuracy{run="live", study="search"}'
    found = _wait(lambda: _ask_or_nothing(prometheus, running))[0]
    assert 0 <= float(found["value"][1]) <= 1
    number = found["metric"]["trial"]
    params = RunFolder(live_search.project.folder / "runs" / "live").study().trials[int(number)].params
    assert f"learning_rate={params['learning_rate']:.3g}" in found["metric"]["parameters"].split(", ")
    for query in _queries():
        _wait(lambda query=query: prometheus.ask(query))

    this, others = (f'ray_san_trial_epoch{{run="live", trial{sign}"{number}"}}' for sign in ("=", "!="))
    _wait(lambda: prometheus.ask(others) and not prometheus.ask(this))


def _ask_or_nothing(prometheus: Prometheus, query: str) -> list[dict[str, Any]]:
    """What Prometheus answers to a query; nothing while it is still starting."""
    try:
        return prometheus.ask(query)
    except OSError:
        return []


def _wait(ready: Callable[[], Any], seconds: float = 600) -> Any:  # noqa: ANN401 - what it was waiting for
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found
