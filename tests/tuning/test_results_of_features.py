"""What a search among preparations prints and writes; scores of its trials are invented."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest

from san_core.data.prepared import PreparedData
from tests.docs import without_ray
from tuning import fresh_seeds, retrain, search

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def searched(
    tiny_data: PreparedData, tiny_whole: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_here: Run
) -> "CompletedProcess[str]":
    """A search in `runs/run` whose trial 1 is on the second of `lite0-2x2` and `lite0-1x1`."""
    monkeypatch.chdir(tmp_path)
    for name, data in (("lite0-2x2", tiny_data), ("lite0-1x1", tiny_whole)):
        shutil.copytree(data.folder, name)
    for command in (search, retrain):
        monkeypatch.setattr(command, "ray_session", lambda *_, **__: contextlib.nullcontext(""))
    monkeypatch.setattr(fresh_seeds, "run_trials", without_ray._invent_scores)
    Path("first.json").write_text('[{"data": "lite0-1x1"}]')
    options = ["--trials", "12", "--epochs", "2", "--run", "run", "--try", "first.json", "--json"]
    return run_here(search.main, "--data", "lite0-2x2", "--data", "lite0-1x1", *options)


def test_json_tables_and_report_show_the_data(
    searched: "CompletedProcess[str]", tiny_whole: PreparedData, tmp_path: Path
) -> None:
    assert searched.returncode == 0, searched.stderr
    found = json.loads(searched.stdout)
    chosen = {trial["trial"]: trial["data"] for trial in found["trials"]}
    assert (chosen[0], chosen[1]) == ("lite0-2x2", "lite0-1x1")
    assert [row["data"] for row in found["comparison"]] == ["lite0-2x2"] * 2  # the baseline is the best
    run = tmp_path / "runs" / "run"
    assert json.loads((run / "best.json").read_text())["data"] == "lite0-2x2"
    assert dict(pd.read_csv(run / "trials.csv")[["trial", "data"]].to_numpy()) == chosen
    report = (run / "report.md").read_text()
    assert "one of lite0-2x2, lite0-1x1" in report
    assert "- data lite0-1x1: 1 x 1 regions of efficientnet-lite0, layer features, at 64 pixels" in report
    page = (run / "report.html").read_text()
    assert f"read from {tmp_path}/lite0-1x1, fingerprint {tiny_whole.fingerprint}" in page


@pytest.mark.usefixtures("searched")
def test_trials_are_repeated_on_data_that_were_moved(tmp_path: Path, run_here: Run) -> None:
    Path("lite0-1x1").rename("moved")
    command = [retrain.main, "run", "--on", "validation", "--trial", "1", "--seeds", "3"]
    refused = run_here(*command)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"no longer in {tmp_path}/lite0-1x1; accepted: their new folder, with --data FOLDER" in refused.stderr
    done = run_here(*command, "--data", "./moved", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == str(tmp_path / "runs" / "run")
