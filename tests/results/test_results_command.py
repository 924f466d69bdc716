import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from results.__main__ import main
from results.run_folder import RunFolder
from results.snapshot import load_snapshot
from results.summary import fit_screen
from results.tables.formatting import show_trials
from results.tables.trials import parameter_columns, trial_table
from tests.results.journals import WUPS, MakeRun, complete, failed, fresh

Results = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def results(run_here: Results, monkeypatch: pytest.MonkeyPatch) -> Results:
    """Runs the command on a screen of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments: run_here(main, *arguments)


@pytest.fixture
def run(make_run: MakeRun) -> RunFolder:
    trials = [complete(0.5, 0.625), failed(why="broke"), *(complete(0.5, (70 + number) / 100) for number in range(10))]
    return make_run(trials, [fresh(11, 0.75), fresh(0, 0.5)])


def test_the_command_prints_the_result_and_writes_the_files(run: RunFolder) -> None:
    """As a user calls it, with every warning an error; the other tests call it in their own process."""
    command = [sys.executable, "-W", "error", "-m", "results", str(run.path)]
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["accuracy", "in", "the", "search", "79.00", "%", "62.50", "%"] in lines
    assert ["1", "11", "4.0e-04", "0.9", "0.5", "500", "79.00", "%", "+16.50", "complete"] in lines
    assert "Best 10 of 12 trials" in done.stdout
    assert "The best configuration beats the baseline by 16.50 points (one run each), more than" in done.stdout
    for path in (run.report_page, run.report, run.trials_csv, run.trials_parquet, run.comparison_csv):
        assert [str(path)] in lines
        assert path.is_file()


def test_json_is_all_that_is_printed_for_a_program(run: RunFolder, results: Results) -> None:
    done = results(str(run.path), "--json")

    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert list(result) == ["run", "metric", "verdict", "comparison", "fresh_seeds", "trials"]
    assert result["metric"] == "accuracy"
    assert [row["config"] for row in result["comparison"]] == ["best", "baseline"]
    assert result["comparison"][0]["deviation"] is None
    assert len(result["trials"]) == 12
    assert result["trials"][0]["score"] == 0.79
    assert result["comparison"][0]["score"] == 0.79
    assert (
        result["trials"][-1] | {"rank": None, "trial": 1, "state": "failed", "reason": "broke"} == result["trials"][-1]
    )
    assert run.report.is_file()


def test_the_command_calls_the_score_by_its_metric(make_run: MakeRun, results: Results) -> None:
    run = make_run([complete(0.5), complete(0.75)], [fresh(0, 0.5), fresh(1, 0.75)], **WUPS)

    lines = [line.split() for line in results(str(run.path)).stdout.splitlines()]
    result = json.loads(results(str(run.path), "--json").stdout)

    assert ["WUPS@0.9", "in", "the", "search", "75.00", "%", "50.00", "%"] in lines
    assert ["mean", "WUPS@0.9", "over", "fresh", "seeds", "75.00", "%", "50.00", "%"] in lines
    assert ["#", "trial", "rate", "momentum", "dropout", "size", "WUPS@0.9", "baseline", "state"] in lines
    assert result["metric"] == "wups@0.9"
    assert result["trials"][0]["score"] == 0.75


def test_a_long_title_of_a_metric_takes_two_lines() -> None:
    shown = pd.DataFrame([["1", "0", "75.00 %", "+0.00", "1", "1", "1.0 s", "complete"]], dtype="str")
    shown.columns = pd.Index(["rank", "trial", "score", "difference", "best_epoch", "epochs", "seconds", "state"])

    table = fit_screen(shown, [], Console(width=80), "VQA accuracy")

    assert table.columns[2].header == "VQA\naccuracy"


@pytest.mark.parametrize("arguments", [["./nowhere"], ["no-such-run"], []])
def test_a_bad_folder_is_one_line_and_exit_code_2(arguments: list[str], results: Results) -> None:
    done = results(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_still_shows_its_result(run: RunFolder, results: Results) -> None:
    (run.trials_csv / "in the way").mkdir(parents=True)

    done = results(str(run.path))

    assert done.returncode == 2
    assert "The best configuration beats" in done.stdout
    assert done.stderr.startswith(f"error: cannot write {run.trials_csv}")
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def second(make_run: MakeRun, run: RunFolder) -> RunFolder:
    """A further run, beside the first."""
    run.path.rename(run.path.with_name("first"))
    return make_run([complete(0.5), complete(0.75)])


def test_several_runs_have_a_comparison_beside_them(second: RunFolder, results: Results) -> None:
    first = second.path.with_name("first")
    done = results(str(first), str(second.path))

    assert (done.returncode, done.stderr) == (0, "")
    written = [second.path.parent / "comparison.html", RunFolder(first).report_page, second.report_page]
    assert [line.strip() for line in done.stdout.splitlines()][-3:] == [str(path) for path in written]
    assert all(path.is_file() for path in written)
    assert ["first", "demo"] in [line.split() for line in done.stdout.splitlines()]
    best = ["score", "in", "the", "search", "79.00", "%", "(trial", "11)", "75.00", "%", "(trial", "1)"]
    assert best in [line.split() for line in done.stdout.splitlines()]


def test_the_comparison_is_written_where_out_says(second: RunFolder, tmp_path: Path, results: Results) -> None:
    done = results(str(second.path.with_name("first")), str(second.path), "--out", str(tmp_path / "c.html"), "--json")

    assert (done.returncode, done.stderr) == (0, "")
    assert [run["trials"][0]["score"] for run in json.loads(done.stdout)] == [0.79, 0.75]
    assert "2 searches compared" in (tmp_path / "c.html").read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["RUN"], "error: the same run was given twice; accepted: different runs"),
        (["--out", "x.html"], "--out goes with several runs"),
        (["RUN", "--live"], "--live shows one run"),
        (["FIRST", "--out", "nowhere/x.html"], "error: cannot write nowhere/x.html"),
        (["--live", "--port", "65536"], "must be a whole number >= 0 and < 65536, but got '65536'"),
    ],
)
def test_a_bad_choice_of_runs_is_one_line_and_exit_code_2(
    second: RunFolder, more: list[str], message: str, results: Results
) -> None:
    places = {"RUN": str(second.path), "FIRST": str(second.path.with_name("first"))}
    done = results(str(second.path), *(places.get(word, word) for word in more))

    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_reading_results_loads_neither_ray_nor_torch() -> None:
    script = "import sys, results.__main__; print({'ray', 'torch', 'tuning.search'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (
            120,
            "#, trial, learning rate, momentum, dropout, embedding size, accuracy, vs. baseline, best epoch, epochs, "
            "time, state",
        ),
        (80, "#, trial, learning rate, momentum, dropout, embedding size, accuracy, vs. baseline, state"),
        (60, "#, trial, accuracy, vs. baseline, state, parameters"),
    ],
)
def test_the_trials_fit_the_screen(run: RunFolder, width: int, headings: str) -> None:
    trials = trial_table(load_snapshot(run))
    console = Console(width=width)

    table = fit_screen(show_trials(trials), parameter_columns(trials), console, "accuracy")

    assert [str(column.header).replace("\n", " ") for column in table.columns] == headings.split(", ")
    with console.capture() as capture:
        console.print(table)
    assert max(len(line) for line in capture.get().splitlines()) <= width
    assert "…" not in capture.get()


def test_parameters_that_a_trial_lacks_are_left_out_where_they_share_a_column() -> None:
    shown = pd.DataFrame([["1", "0", "", "2", "75.00 %", "+0.00", "1", "1", "1.0 s", "complete"]], dtype="str")
    shown.columns = pd.Index(
        ["rank", "trial", "size", "hops", "score", "difference", "best_epoch", "epochs", "seconds", "state"]
    )

    table = fit_screen(shown, ["size", "hops"], Console(width=45), "accuracy")

    assert list(table.columns[-1].cells) == ["hops=2"]
