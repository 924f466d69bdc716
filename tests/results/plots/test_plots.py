import math
from datetime import timedelta

import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from results.plots.fresh_seeds import fresh_seeds_plot
from results.plots.learning_curves import add_gaps, learning_curves_plot, learning_curves_table
from results.plots.optimization_history import optimization_history_table
from results.plots.parallel_coordinates import parallel_axes
from results.plots.points import MOST_POINTS, points_table, thinned
from results.plots.progress import progress_table
from results.plots.search_plots import search_plots
from results.plots.slices import slice_plots
from results.plots.style import STATE_SYMBOLS
from results.plots.timeline import epoch_kinds, timeline_plot, timeline_table
from results.run_folder import CONFIRMS, DUPLICATE_OF, PRIOR
from results.tables.fresh_seeds import seed_table
from results.tables.trials import trial_table
from tests.results.cohorts import successive_halving, while_it_runs
from tests.results.journals import (
    BASELINE,
    RANGES,
    START,
    MakeSnapshot,
    complete,
    diverged,
    failed,
    fresh,
    job,
    pruned,
    trial,
)

SEARCH = [
    complete(0.4, 0.5, minutes=(0, 10)),
    pruned(0.3, minutes=(0, 4)),
    complete(0.6, 0.7, params=BASELINE | {"dropout": 0.25}, minutes=(4, 12)),
    failed(why="broke"),
    complete(0.65, minutes=(13, 20)),
]


def test_history_keeps_the_best_of_complete_trials(make_snapshot: MakeSnapshot) -> None:
    table = optimization_history_table(points_table(make_snapshot([pruned(0.9), *SEARCH])))

    assert table["trial"].tolist() == [0, 1, 2, 3, 5]  # trial 4 failed without a score
    assert table["config"].tolist() == ["baseline", "", "", "best", ""]
    assert math.isnan(table["best so far"].iloc[0])
    assert table["best so far"].tolist()[1:] == [0.5, 0.5, 0.7, 0.7]


def test_curves_of_many_trials_are_one_line_with_gaps(make_snapshot: MakeSnapshot) -> None:
    table = learning_curves_table(make_snapshot(SEARCH))
    joined = add_gaps(table[table["config"] == ""])

    assert table["epoch"].tolist() == [1, 2, 1, 1, 2, 1]
    assert joined["trial"].tolist() == [1, 1, 4, 4]
    assert joined["score"].isna().tolist() == joined["epoch"].isna().tolist() == [False, True, False, True]


def test_many_trials_are_a_few_traces(make_snapshot: MakeSnapshot) -> None:
    trials = [*[complete(0.5, 0.6) if number % 2 else pruned(0.4) for number in range(40)], diverged(0.3, 0.0)]
    curves = learning_curves_plot(make_snapshot(trials))

    assert [trace.name for trace in curves.figure.data] == ["complete", "pruned", "diverged", "best", "baseline"]
    assert len(set(STATE_SYMBOLS.values())) == len(STATE_SYMBOLS)


def test_a_search_has_every_plot(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(SEARCH, [fresh(0, 0.5), fresh(2, 0.6)])
    slices = {plot.title: plot for plot in slice_plots(snapshot)}
    found = {plot.key: plot for plot in search_plots(snapshot, {"dropout": 0.75, "momentum": 0.25})}

    assert list(found) == ["history", "curves", "importance", "cost", "parallel"]
    assert list(slices) == list(BASELINE)
    assert list(found["importance"].figure.data[0].y) == ["dropout", "momentum"]
    assert list(found["importance"].figure.data[0].x) == [0.75, 0.25]
    best = next(trace for trace in slices["dropout"].figure.data if trace.name == "best")
    assert (list(best.x), list(best.y)) == ([0.25], [0.7])
    cost = {trace.name: list(trace.x) for trace in found["cost"].figure.data}
    assert cost == {"complete": [30, 30, 30], "pruned": [10], "best": [30], "baseline": [30]}
    assert slices["learning_rate"].figure.layout.xaxis.type == "log"
    assert found["history"].figure.layout.yaxis.title.text == "accuracy"


def test_plots_name_the_metric(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(SEARCH, metric="wups@0.9", metric_title="WUPS@0.9")
    found = {plot.key: plot for plot in [*search_plots(snapshot, {}), *slice_plots(snapshot)]}

    titles = {key: plot.figure.layout.yaxis.title.text for key, plot in found.items()}
    assert titles["history"] == titles["curves"] == titles["cost"] == titles["slice-momentum"] == "WUPS@0.9"
    assert found["cost"].title == "WUPS@0.9 against cost"
    assert found["parallel"].figure.data[0].dimensions[0].label == "WUPS@0.9"


def test_a_search_that_has_not_begun_has_no_plots(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot([])

    assert search_plots(snapshot, {}) == slice_plots(snapshot) == []
    assert timeline_plot(snapshot) is fresh_seeds_plot(snapshot) is None


def test_the_timeline_has_a_slot_for_each_trial_at_a_time(make_snapshot: MakeSnapshot) -> None:
    running = trial(0.3, state=TrialState.RUNNING)
    running.datetime_start = START + timedelta(minutes=15)
    table = timeline_table(make_snapshot([*SEARCH[:3], SEARCH[4], running], []))

    minutes = [[(time - START).total_seconds() / 60 for time in table[end]] for end in ("start", "end")]
    assert table["slot"].tolist() == ["lane 1", "lane 2", "lane 2", "lane 1", "lane 2"]
    assert minutes == [[0, 0, 4, 13, 15], [10, 4, 12, 20, 20]]
    assert table["kind"].tolist() == ["complete", "pruned", "complete", "complete", "running"]


def test_the_timeline_has_a_bar_for_each_job(make_snapshot: MakeSnapshot) -> None:
    trials, jobs = while_it_runs()
    repeats = [fresh(0, 0.5, minutes=(9, 10)), fresh(5, 0.875, minutes=(9, 10))]
    table = timeline_table(make_snapshot(trials, repeats, jobs, [job(0, (0, 1), (0, 2), (9, 10), "b")]))

    minutes = [[(time - START).total_seconds() / 60 for time in table[end]] for end in ("start", "end")]
    assert minutes == [[0, 0, 5, 9], [4, 2, 10, 10]]
    assert table["slot"].tolist() == ["a", "b", "a", "b"]
    assert table["kind"].tolist() == ["to epoch 1", "to epoch 1", "running", "fresh seed"]
    assert table["label"].tolist() == [
        "cohort 0: trials 0-3, epoch 1<br>best 50.00 %",
        "cohort 1: trials 4-7, epoch 1<br>best 50.00 %",
        "cohort 2: trials 0-1, 4-5, epoch 2<br>best 50.00 %",
        "cohort 0: repeats of trials 0, 5, epochs 1 to 2<br>best 87.50 %",
    ]


def test_the_colours_of_jobs_follow_the_epochs_that_they_reach(make_snapshot: MakeSnapshot) -> None:
    trials, jobs = successive_halving()
    plot = timeline_plot(make_snapshot(trials, jobs=jobs))

    assert plot is not None
    colors = {trace.name: trace.marker.color for trace in plot.figure.data}
    assert list(colors) == ["to epoch 1", "to epoch 2", "to epoch 4", "to epoch 8"]
    assert len(set(colors.values())) == 4
    assert sum(len(trace.x) for trace in plot.figure.data) == len(jobs)
    assert epoch_kinds(range(1, 13))[12] == "to epoch 11-12"
    assert len(set(epoch_kinds(range(1, 100)).values())) == 6
    assert epoch_kinds([3, 3]) == {3: "to epoch 3"}


def test_parallel_axes_show_logarithms_and_choices_by_their_names(make_snapshot: MakeSnapshot) -> None:
    choice = CategoricalDistribution(["paper", "bounded"])
    trials = [
        create_trial(
            value=0.5,
            params={"learning_rate": rate, "attention": attention, **extra},
            distributions={"learning_rate": RANGES["learning_rate"], "attention": choice}
            | {name: RANGES[name] for name in extra},
            intermediate_values={1: 0.5},
        )
        for rate, attention, extra in ((1e-3, "bounded", {}), (1e-4, "paper", {"dropout": 0.5}))
    ]
    snapshot = make_snapshot(trials)

    score, rate, attention = parallel_axes(snapshot)  # only one trial has a dropout

    assert score["values"] == [0.5, 0.5]
    assert rate["values"] == pytest.approx([-3, -4])
    assert rate["range"] == pytest.approx([-5, -2])
    assert (rate["ticktext"][0], rate["ticktext"][-1]) == ("1.0e-05", "1.0e-02")
    assert (attention["values"], attention["ticktext"]) == ([1, 0], ["paper", "bounded"])


def test_every_repeated_trial_has_an_interval(make_snapshot: MakeSnapshot) -> None:
    again = [fresh(1, 0.30), fresh(2, 0.70), fresh(2, 0.72), fresh(0, 0.5), fresh(0, 0.6)]
    again.append(trial(0.1, state=TrialState.RUNNING, **{CONFIRMS: 2}))
    snapshot = make_snapshot(SEARCH, again)
    table = seed_table(snapshot)

    assert table["config"].tolist() == ["best", "baseline", "other"]
    assert table["trial"].tolist() == [2, 0, 1]
    assert table["seeds"].tolist() == [2, 2, 1]
    assert table["mean"].tolist() == pytest.approx([0.71, 0.55, 0.3])
    # t of 1 degree of freedom 12.7062, times deviation over sqrt(2): 0.01 and 0.05
    assert table["high"].tolist()[:2] == pytest.approx([0.71 + 0.127062, 1.0], rel=1e-4)
    assert math.isnan(table["low"].iloc[2])
    plot = fresh_seeds_plot(snapshot)
    assert plot is not None
    means, single = plot.figure.data
    assert list(means.y) == ["trial 2 (best)", "trial 0 (baseline)", "trial 1"]
    assert list(means.error_x.array) == pytest.approx([0.127062, 0.45, 0.0], rel=1e-4)
    assert list(means.error_x.arrayminus) == pytest.approx([0.127062, 0.55, 0.0], rel=1e-4)
    assert list(single.x) == pytest.approx([0.70, 0.72, 0.5, 0.6, 0.3])


def test_progress_adds_up_training_time_in_the_order_trials_ended(make_snapshot: MakeSnapshot) -> None:
    table = progress_table(make_snapshot(SEARCH))

    assert table["trials"].tolist() == [1, 2, 3, 4, 5]
    assert table["hours"].tolist() == pytest.approx([seconds / 3600 for seconds in (10, 40, 70, 100, 100)])
    assert math.isnan(table["best so far"].iloc[0])
    assert table["best so far"].tolist()[1:] == [0.5, 0.7, 0.7, 0.7]


def test_trials_of_others_do_not_count(make_snapshot: MakeSnapshot) -> None:
    others = [complete(0.99, **{PRIOR: "earlier"}), complete(0.98, **{DUPLICATE_OF: 0})]
    snapshot = make_snapshot([*SEARCH, *others])

    assert snapshot.left_out == 2
    assert trial_table(snapshot)["trial"].tolist() == [2, 4, 0, 1, 3]
    assert pd.Series(points_table(snapshot)["score"]).max() == 0.7


def test_of_many_trials_a_plot_shows_the_best_and_a_part_of_the_others(make_snapshot: MakeSnapshot) -> None:
    scores = [((37 * number) % 2500) / 2500 for number in range(2500)]
    points = points_table(make_snapshot([complete(score) for score in scores]))
    shown = thinned(points)
    assert MOST_POINTS / 2 < len(shown) <= MOST_POINTS + 2
    best = sorted(range(2500), key=lambda number: -scores[number])[: MOST_POINTS // 2]
    assert set(best) <= set(shown["trial"])
    assert 0 in set(shown["trial"])  # the baseline
    assert shown["trial"].is_monotonic_increasing
    assert thinned(shown.head(MOST_POINTS)).equals(shown.head(MOST_POINTS))
