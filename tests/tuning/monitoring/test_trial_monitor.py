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
from types import SimpleNamespace
from typing import Any

import pytest

from results.jobs import Job
from results.run_folder import RunFolder
from tests.tuning.commands import LiveSearch
from tuning.monitoring import metrics as gauges
from tuning.monitoring import trial_monitor as monitoring
from tuning.monitoring.metrics import GAUGES, TAGS
from tuning.study.live_trial import Epoch

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
    monitor.end_epoch({3: Epoch(2, 0.75, 8.0, loss=0.25, examples_per_second=250.0)})
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

    monitor.end_epoch({0: Epoch(1, 0.5, 1.0)})
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


def test_each_trial_of_a_job_is_exported_until_the_job_ends(noted: dict[str, Any]) -> None:
    monitor = monitoring.TrialMonitor("demo", "search")
    monitor.start_job(Job(4, (12, 13), 1, 3, due=3), {12: {"hops": 1, "seed": 7}, 13: {"hops": 2, "seed": 8}})
    monitor.end_epoch({12: Epoch(2, 0.5, 1.0), 13: Epoch(2, 0.75, 1.0, loss=0.25)})
    monitor.end_epoch({13: Epoch(3, 0.8, 2.0)})  # the other is trained after it

    epochs = [(value, tags["trial"], tags["parameters"]) for value, tags in noted["san_trial_epoch"]]
    assert epochs == [(2, "12", "hops=1"), (2, "13", "hops=2"), (3, "13", "hops=2")]
    assert [(value, tags["trial"]) for value, tags in noted["san_trial_loss"]] == [(0.25, "13")]

    monitor.start_epoch()
    _wait(lambda: len(noted["san_trial_accuracy"]) > 6)
    assert {(value, tags["trial"]) for value, tags in noted["san_trial_accuracy"][3:]} == {(0.5, "12"), (0.8, "13")}
    monitor.end_trial()
    before = len(noted["san_trial_accuracy"])
    time.sleep(0.05)
    assert len(noted["san_trial_accuracy"]) == before


class NotedActor:
    """In place of Ray's actor of the dashboard: notes its title and its log."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.titles: list[str] = []
        self.lines: list[str] = []
        handle = SimpleNamespace(log=SimpleNamespace(remote=lambda text: self.lines.extend(text.splitlines())))

        def start(title: str) -> SimpleNamespace:
            self.titles.append(title)
            return handle

        monkeypatch.setattr(monitoring.ray, "remote", lambda **_: lambda _: SimpleNamespace(remote=start))
        monkeypatch.setattr(monitoring, "DASHBOARD_DELAY", 0.05)


@pytest.mark.usefixtures("noted")
def test_a_job_is_one_actor_with_the_scores_of_its_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor, actor = monitoring.TrialMonitor("demo", "search"), NotedActor(monkeypatch)
    trials = range(12, 22)
    monitor.start_job(
        Job(3, tuple(trials), 0, 2, due=2), {number: {"hops": number % 2, "seed": 1} for number in trials}
    )
    scores = {number: Epoch(1, number / 100, 1.0, examples_per_second=100.0) for number in trials}
    monitor.end_epoch(scores)
    _wait(lambda: actor.lines)
    monitor.end_epoch({12: Epoch(2, 0.5, 2.0), 13: Epoch(2, 0.0, 2.0, diverged="the loss is nan")})
    monitor.end_trial()

    assert actor.titles == ["cohort 3: trials 12-21"]
    assert actor.lines[:3] == [
        "cohort 3: trials 12-21, epochs 1 to 2 of demo, search",
        "  trial 12: hops=0",
        "  trial 13: hops=1",
    ]
    assert actor.lines[11:] == [
        "epoch 1: best accuracy 21.00% (trial 21), mean 16.50%, 1,000 examples/s",
        "  12: 12.00%, 13: 13.00%, 14: 14.00%, 15: 15.00%, 16: 16.00%, 17: 17.00%, 18: 18.00%, 19: 19.00%",
        "  20: 20.00%, 21: 21.00%",
        "epoch 2: best accuracy 50.00% (trial 12), mean 25.00%",
        "  12: 50.00%, 13: diverged",
    ]


@pytest.mark.usefixtures("noted")
def test_of_a_large_job_the_log_has_only_the_best_and_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor, actor = monitoring.TrialMonitor("demo", "search"), NotedActor(monkeypatch)
    monitor.start_job(Job(0, tuple(range(17)), 0, 2, due=2), {number: {} for number in range(17)})
    _wait(lambda: actor.lines)
    monitor.end_epoch({number: Epoch(1, 0.5, 1.0) for number in range(17)})
    monitor.end_trial()

    assert actor.lines[18:] == ["epoch 1: best accuracy 50.00% (trial 0), mean 50.00%"]


@pytest.mark.usefixtures("noted")
def test_a_trial_that_is_trained_alone_is_an_actor_with_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor, actor = monitoring.TrialMonitor("demo", "search"), NotedActor(monkeypatch)
    monitor.start_trial(5, {"hops": 2, "seed": 1})
    _wait(lambda: actor.lines)
    monitor.end_epoch({5: Epoch(1, 0.5, 1.0, loss=0.25, examples_per_second=1234.0)})
    monitor.end_trial()

    assert actor.titles == ["trial 5: hops=2"]
    assert actor.lines == [
        "trial 5 of demo, search",
        "  hops = 2",
        "  seed = 1",
        "epoch 1: loss 0.2500, accuracy 50.00%, 1,234 examples/s",
    ]


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
