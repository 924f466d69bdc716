import math
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from results.plots import plot_data as plots
from results.plots.comparison_plots import seeds_plot
from results.plots.parallel_coordinates import axes
from results.plots.plot_style import SYMBOLS
from results.plots.search_plots import search_plots
from results.run_folder import CONFIRMS, DUPLICATE_OF, PRIOR, RESUMED, SECONDS, WORKER
from results.snapshot import read
from results.tables.costs import _file_size, busy_seconds, disk_sizes, seconds_saved, time_spent
from results.tables.formatting import show_bytes
from results.tables.fresh_seeds import seed_table
from results.tables.lanes import lanes
from results.tables.trials import trial_table
from tests.results.journals import BASELINE, RANGES, START, MakeRun, complete, diverged, failed, fresh, pruned, trial

SEARCH = [
    complete(0.4, 0.5, minutes=(0, 10)),
    pruned(0.3, minutes=(0, 4)),
    complete(0.6, 0.7, params=BASELINE | {"dropout": 0.25}, minutes=(4, 12)),
    failed(why="broke"),
    complete(0.65, minutes=(13, 20)),
]


def test_history_keeps_the_best_of_complete_trials(make_run: MakeRun) -> None:
    told = plots.history(plots.points(read(make_run([pruned(0.9), *SEARCH]))))

    assert told["trial"].tolist() == [0, 1, 2, 3, 5]  # trial 4 failed without a score
    assert told["config"].tolist() == ["baseline", "", "", "best", ""]
    assert math.isnan(told["best so far"].iloc[0])
    assert told["best so far"].tolist()[1:] == [0.5, 0.5, 0.7, 0.7]


def test_curves_of_many_trials_are_one_line_with_gaps(make_run: MakeRun) -> None:
    told = plots.curves(read(make_run(SEARCH)))
    joined = plots.with_gaps(told[told["config"] == ""])

    assert told["epoch"].tolist() == [1, 2, 1, 1, 2, 1]
    assert joined["trial"].tolist() == [1, 1, 4, 4]
    assert joined["score"].isna().tolist() == joined["epoch"].isna().tolist() == [False, True, False, True]


def test_many_trials_are_a_few_traces(make_run: MakeRun) -> None:
    trials = [*[complete(0.5, 0.6) if number % 2 else pruned(0.4) for number in range(40)], diverged(0.3, 0.0)]
    curves = next(plot for plot in search_plots(read(make_run(trials)), {}) if plot.key == "curves")

    assert [trace.name for trace in curves.figure.data] == ["complete", "pruned", "diverged", "best", "baseline"]
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)


def test_a_search_has_every_plot(make_run: MakeRun) -> None:
    record = read(make_run(SEARCH, [fresh(0, 0.5), fresh(2, 0.6)]))
    found = {plot.key: plot for plot in search_plots(record, {"dropout": 0.75, "momentum": 0.25})}

    slices = [f"slice-{name}" for name in BASELINE]
    assert list(found) == ["history", "curves", "importance", "cost", *slices, "parallel", "timeline"]
    assert list(found["importance"].figure.data[0].y) == ["dropout", "momentum"]
    assert list(found["importance"].figure.data[0].x) == [0.75, 0.25]
    best = next(trace for trace in found["slice-dropout"].figure.data if trace.name == "best")
    assert (list(best.x), list(best.y)) == ([0.25], [0.7])
    cost = {trace.name: list(trace.x) for trace in found["cost"].figure.data}
    assert cost == {"complete": [30, 30, 30], "pruned": [10], "best": [30], "baseline": [30]}
    assert found["slice-learning_rate"].figure.layout.xaxis.type == "log"
    assert found["history"].figure.layout.yaxis.title.text == "accuracy"


def test_plots_name_the_metric(make_run: MakeRun) -> None:
    record = read(make_run(SEARCH, metric="wups@0.9", metric_title="WUPS@0.9"))
    found = {plot.key: plot for plot in search_plots(record, {})}

    titles = {key: plot.figure.layout.yaxis.title.text for key, plot in found.items()}
    assert titles["history"] == titles["curves"] == titles["cost"] == titles["slice-momentum"] == "WUPS@0.9"
    assert found["cost"].title == "WUPS@0.9 against cost"
    assert found["parallel"].figure.data[0].dimensions[0].label == "WUPS@0.9"


def test_a_search_that_has_not_begun_has_no_plots(make_run: MakeRun) -> None:
    assert search_plots(read(make_run([])), {}) == []


def test_the_timeline_has_a_lane_for_each_trial_at_a_time(make_run: MakeRun) -> None:
    running = trial(0.3, state=TrialState.RUNNING)
    running.datetime_start = START + timedelta(minutes=15)
    told = plots.timeline(read(make_run([*SEARCH[:3], SEARCH[4], running], [])))

    minutes = [[(time - START).total_seconds() / 60 for time in told[end]] for end in ("start", "end")]
    assert told["lane"].tolist() == ["lane 1", "lane 2", "lane 2", "lane 1", "lane 2"]
    assert minutes == [[0, 0, 4, 13, 15], [10, 4, 12, 20, 20]]
    assert told["kind"].tolist() == ["complete", "pruned", "complete", "complete", "running"]


def test_a_trial_lies_in_its_workers_lane() -> None:
    def on(worker: str, start: float, end: float) -> FrozenTrial:
        return complete(0.5, minutes=(start, end), **{WORKER: worker})

    placed = lanes([on("b", 0, 2), on("a", 1, 3), on("a", 2, 4), on("b", 2, 3)])

    assert [lane for _, lane in placed] == [("b", 0), ("a", 0), ("a", 1), ("b", 0)]
    assert list(plots.lane_names([lane for _, lane in placed]).values()) == ["a (1)", "a (2)", "b"]


def test_parallel_axes_show_logarithms_and_choices_by_their_names(make_run: MakeRun) -> None:
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
    record = read(make_run(trials))

    score, rate, attention = axes(record, plots.points(record))  # only one trial has a dropout

    assert score["values"] == [0.5, 0.5]
    assert rate["values"] == pytest.approx([-3, -4])
    assert rate["range"] == pytest.approx([-5, -2])
    assert (rate["ticktext"][0], rate["ticktext"][-1]) == ("1.0e-05", "1.0e-02")
    assert (attention["values"], attention["ticktext"]) == ([1, 0], ["paper", "bounded"])


def test_every_repeated_trial_has_an_interval(make_run: MakeRun) -> None:
    again = [fresh(1, 0.30), fresh(2, 0.70), fresh(2, 0.72), fresh(0, 0.5), fresh(0, 0.6)]
    again.append(trial(0.1, state=TrialState.RUNNING, **{CONFIRMS: 2}))
    record = read(make_run(SEARCH, again))
    table = seed_table(record)

    assert table["config"].tolist() == ["best", "baseline", "other"]
    assert table["trial"].tolist() == [2, 0, 1]
    assert table["seeds"].tolist() == [2, 2, 1]
    assert table["mean"].tolist() == pytest.approx([0.71, 0.55, 0.3])
    # t of 1 degree of freedom 12.7062, times deviation over sqrt(2): 0.01 and 0.05
    assert table["high"].tolist()[:2] == pytest.approx([0.71 + 0.127062, 1.0], rel=1e-4)
    assert math.isnan(table["low"].iloc[2])
    means, single = seeds_plot(record).data
    assert list(means.y) == ["trial 2 (best)", "trial 0 (baseline)", "trial 1"]
    assert list(means.error_x.array) == pytest.approx([0.127062, 0.45, 0.0], rel=1e-4)
    assert list(means.error_x.arrayminus) == pytest.approx([0.127062, 0.55, 0.0], rel=1e-4)
    assert list(single.x) == pytest.approx([0.70, 0.72, 0.5, 0.6, 0.3])


def test_progress_adds_up_training_time_in_the_order_trials_ended(make_run: MakeRun) -> None:
    told = plots.progress(read(make_run(SEARCH)))

    assert told["trials"].tolist() == [1, 2, 3, 4, 5]
    assert told["hours"].tolist() == pytest.approx([seconds / 3600 for seconds in (10, 40, 70, 100, 100)])
    assert math.isnan(told["best so far"].iloc[0])
    assert told["best so far"].tolist()[1:] == [0.5, 0.7, 0.7, 0.7]


def test_time_is_split_into_useful_and_wasted(make_run: MakeRun) -> None:
    trials = [
        complete(0.5, seconds=500, minutes=(0, 10)),
        pruned(0.4, minutes=(0, 1)),
        trial(0.3, state=TrialState.FAIL, minutes=(1, 3), **{SECONDS: 60.0}),
        diverged(0.9, 0.0, minutes=(3, 4)),
    ]
    spent = {cost.name: (cost.seconds, cost.useful) for cost in time_spent(read(make_run(trials)))}

    # Two places for 600 s; the trials held them for 600 + 60 + 120 + 60 s, and trained for 500 + 10 + 60 + 20 s.
    assert spent == {
        "trained to the end": (500, True),
        "stopped early": (10, True),
        "diverged": (20, True),
        "fresh seeds": (0, True),
        "failed": (60, False),
        "starting, saving, waiting": (250, False),
        "idle": (360, False),
    }


def test_the_pause_before_a_search_was_resumed_is_no_time_of_its_trials(make_run: MakeRun) -> None:
    resumed = complete(0.5, seconds=100, minutes=(0, 720))
    resumed.user_attrs[RESUMED] = (START + timedelta(minutes=718)).isoformat()
    record = read(make_run([complete(0.5, seconds=240, minutes=(0, 4)), resumed]))
    spent = {cost.name: cost.seconds for cost in time_spent(record)}

    assert busy_seconds(record.search) == 360
    assert (spent["trained to the end"], spent["starting, saving, waiting"], spent["idle"]) == (340, 20, 0)
    assert plots.timeline(record)["start"].tolist() == [START, START + timedelta(minutes=718)]


def test_stopping_early_saves_the_epochs_that_were_left(make_run: MakeRun) -> None:
    trials = [complete(*[0.5] * 4), pruned(0.4), pruned(0.4, 0.5, 0.5)]  # 4 epochs; 10 s for 1, 10 s for 3

    assert seconds_saved(read(make_run(trials))) == pytest.approx(30 + 10 / 3)


def test_the_disk_is_told_by_file_and_folder(make_run: MakeRun) -> None:
    run = make_run([])
    (run.path / "ray" / "deep").mkdir(parents=True)
    (run.path / "ray" / "deep" / "log").write_bytes(b"x" * 5000)

    sizes = disk_sizes(run)

    assert next(iter(sizes.items())) == ("ray", 5000)
    assert sizes["settings.json"] == Path(run.settings_file).stat().st_size
    assert _file_size(run.path / "gone meanwhile") == 0


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (4_891_937, "4.89 MB")])
def test_sizes_read_naturally(size: int, text: str) -> None:
    assert show_bytes(size) == text


def test_trials_of_others_do_not_count(make_run: MakeRun) -> None:
    others = [complete(0.99, **{PRIOR: "earlier"}), complete(0.98, **{DUPLICATE_OF: 0})]
    record = read(make_run([*SEARCH, *others]))

    assert record.left_out == 2
    assert trial_table(record)["trial"].tolist() == [2, 4, 0, 1, 3]
    assert pd.Series(plots.points(record)["score"]).max() == 0.7
