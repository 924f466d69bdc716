import io
import json

import pandas as pd
from rich.console import Console

from results import summary
from results.ranking import best_trial, rank_trials
from results.report.cautions import cautions
from results.report.comparison import overview_table
from results.report.files import write_report
from results.report.headline_numbers import headline_numbers
from results.report.verdict import verdict
from results.run_folder import DUPLICATE_OF, PRIOR
from results.snapshot import load_snapshot
from tests.results.journals import MakeRun, complete, diverged, failed, pruned


def test_trials_are_ranked_by_score_and_then_by_number(make_run: MakeRun) -> None:
    trials = [
        complete(0.5),
        diverged(0.9, 0.0),
        complete(0.7),
        pruned(0.8),
        complete(0.7),
        failed(why="broke"),
        complete(0.9, **{PRIOR: "earlier"}),
        complete(0.9, **{DUPLICATE_OF: 0}),
        complete(0.6),
    ]
    trials = make_run(trials).study().trials

    assert [trial.number for trial in rank_trials(reversed(trials))] == [2, 4, 8, 0]
    assert best_trial(trials[5:6]) is None


def test_every_output_names_the_same_best_of_equal_trials(make_run: MakeRun) -> None:
    late = complete(0.2, 0.3, 0.8, minutes=(0, 9))  # more epochs, and the last to end
    early = complete(0.8, minutes=(0, 2))
    run = make_run([complete(0.5, minutes=(0, 1)), late, early, complete(0.8, minutes=(2, 3)), diverged(0.9, 0.0)])
    snapshot = load_snapshot(run)
    write_report(snapshot)
    printed = io.StringIO()
    summary.print_summary(snapshot, Console(file=printed, width=100))
    result = json.loads(json.dumps(summary.as_json(snapshot)))

    best = best_trial(run.study().trials)
    assert best is not None
    assert best.number == snapshot.best_number == 1
    assert pd.read_csv(run.trials_csv)["trial"].tolist() == [1, 2, 3, 0, 4]
    assert [row["trial"] for row in result["trials"]] == [1, 2, 3, 0, 4]
    assert pd.read_csv(run.comparison_csv)["trial"].tolist() == [1, 0]
    assert [row["trial"] for row in result["comparison"]] == [1, 0]
    assert ["trial", "1", "0"] in [line.split() for line in printed.getvalue().splitlines()]
    assert ["trial", "1", "0"] in [line.replace("|", " ").split() for line in run.report.read_text().splitlines()]
    assert headline_numbers(snapshot)[0][0] == "best, trial 1"
    assert "2 other complete trials lie within noise of the best, trial 1:" in cautions(snapshot)[0]
    assert "80.00 % (trial 1)" in overview_table({"run": snapshot})["score in the search"].tolist()
    assert "beats the baseline by 30.00 points" in verdict(snapshot)
