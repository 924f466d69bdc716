"""A whole search among two preparations of the squares: real workers, a real Ray, single trials and cohorts."""

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from results.run_folder import RunFolder
from results.snapshot import load_snapshot
from san_core.data.prepared import PreparedData
from tuning import retrain
from tuning.retraining.score_check import check_score
from tuning.search import search

pytestmark = pytest.mark.long

SIZES = {"hidden_size": 32, "attention_size": 16, "embedding_size": 16, "batch_size": 8}


@pytest.fixture(scope="module")
def sets(
    tiny_data: PreparedData, tiny_whole: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, PreparedData]:
    folder = tmp_path_factory.mktemp("sets")
    both = {"2x2": tiny_data, "1x1": tiny_whole}
    return {name: PreparedData.open(shutil.copytree(each.folder, folder / name)) for name, each in both.items()}


@pytest.fixture(
    scope="module", params=[pytest.param(1, id="trials"), pytest.param(2, id="cohorts", marks=pytest.mark.rare)]
)
def run(
    request: pytest.FixtureRequest,
    sets: Mapping[str, PreparedData],
    one_ray: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> RunFolder:
    del one_ray
    path = tmp_path_factory.mktemp("features") / "run"
    return search(
        data=list(sets.values()),
        run=path,
        trials=6,
        epochs=2,
        cohort=request.param,
        concurrent=1,
        confirm=1,
        keep=6,
        sampler="random",
        set=SIZES,
        no_dashboard=True,
        try_first=[{"data": "1x1"}],
    )


def test_each_trial_is_trained_on_its_own_data(run: RunFolder, sets: Mapping[str, PreparedData]) -> None:
    record = load_snapshot(run)
    chosen = [trial.params["data"] for trial in record.search]
    assert chosen[:2] == ["2x2", "1x1"]
    assert {trial.state.is_finished() for trial in record.search} == {True}
    for number in (0, 1, 5):
        checked = check_score(run, record.search[number], sets[chosen[number]])
        assert checked.found == checked.recorded
    other = check_score(run, record.search[1], sets["2x2"])
    assert other.found != other.recorded


def test_results_name_the_data(run: RunFolder, sets: Mapping[str, PreparedData]) -> None:
    best = load_snapshot(run).best
    assert best
    assert json.loads(run.best_file.read_text())["data"] == best.params["data"]
    assert "one of 2x2, 1x1" in run.report.read_text()
    gallery = json.loads(run.attention_examples_file.read_text())
    assert gallery["items"], gallery["note"]
    assert "data" in run.trials_csv.read_text().splitlines()[0].split(",")
    assert f"read from {sets['1x1'].folder}, fingerprint {sets['1x1'].fingerprint}" in run.report_page.read_text()


@pytest.mark.rare  # tests/tuning/planning/test_plan.py opens moved data without training on them
def test_the_search_goes_on_where_the_data_were_moved(
    run: RunFolder,
    sets: Mapping[str, PreparedData],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_here: Callable[..., "CompletedProcess[str]"],
) -> None:
    monkeypatch.setattr(retrain, "ray_session", lambda *_, **__: contextlib.nullcontext(""))
    copied = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    settings = copied.settings
    settings["preparations"]["1x1"]["folder"] = str(tmp_path / "gone")
    copied.change_settings(settings)
    moved = shutil.copytree(sets["1x1"].folder, tmp_path / "moved")
    repeated = run_here(
        retrain.main, copied.path, "--on", "validation", "--trial", "1", "--seeds", "2", "--data", moved
    )
    assert repeated.returncode == 0, repeated.stderr
    again = search(resume=tmp_path / "run", trials=8, data=moved, no_dashboard=True)
    record = load_snapshot(again)
    assert len(record.search) == 8
    assert record.settings["preparations"]["1x1"]["folder"] == str(moved)


def test_the_best_is_retrained_on_its_own_data(run: RunFolder) -> None:
    best = load_snapshot(run).best
    assert best
    done = retrain.retrain(run, seeds=1)
    grid = 2 if best.params["data"] == "2x2" else 1
    assert f"{grid} x {grid} regions of efficientnet-lite0" in (done.folder / "README.md").read_text()
