import math

import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from results.run_folder import CONFIRMS, SEARCH
from results.snapshot import load_snapshot
from results.tables.trials import comparison, confirmation_table, parameter_columns, trial_table
from tests.results.journals import (
    BASELINE,
    MakeRun,
    MakeSnapshot,
    complete,
    diverged,
    failed,
    fresh,
    pruned,
    trial,
)


def test_trial_table_ranks_complete_then_pruned_and_leaves_the_rest_unranked(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(
        [
            complete(0.5, 0.7),  # 0
            failed(0.9, why="OutOfMemoryError"),  # 1
            pruned(0.3, 0.2),  # 2
            complete(0.6, 0.8, 0.75),  # 3
            pruned(0.9),  # 4
            trial(0.95, state=TrialState.RUNNING),  # 5
            trial(state=TrialState.WAITING, params={}),  # 6
            pruned(0.4, 0.3),  # 7
        ]
    )

    table = trial_table(snapshot)

    assert table["trial"].tolist() == [3, 0, 7, 2, 4, 1, 5, 6]
    assert table["rank"].dtype == "Int64"
    assert table["rank"].tolist()[:5] == [1, 2, 3, 4, 5]
    assert table["rank"].isna().tolist() == [False] * 5 + [True] * 3
    assert table["state"].tolist() == [
        *("complete", "complete", "pruned", "pruned", "pruned"),
        *("failed", "running", "waiting"),
    ]
    assert table["reason"].tolist() == [
        *("", "", "pruned", "pruned", "pruned"),
        *("OutOfMemoryError", "not finished", "not started"),
    ]


def test_trial_table_has_its_columns_in_order_and_their_values(make_snapshot: MakeSnapshot) -> None:
    other = {"learning_rate": 1e-3, "momentum": 0.5, "dropout": 0.0, "embedding_size": 250}
    table = trial_table(
        make_snapshot([complete(0.5, 0.625), complete(0.25, 0.75, 0.75, params=other, seed=9, seconds=12.5)])
    )

    assert list(table.columns) == [
        *("rank", "trial", "learning_rate", "momentum", "dropout", "embedding_size"),
        *("score", "difference", "best_epoch", "epochs", "seconds", "seed", "state", "reason"),
    ]
    assert table.iloc[0].tolist() == [1, 1, 1e-3, 0.5, 0.0, 250, 0.75, 0.125, 2, 3, 12.5, 9, "complete", ""]
    assert table.iloc[1].tolist() == [2, 0, 4e-4, 0.9, 0.5, 500, 0.625, 0.0, 2, 2, 30.0, 1, "complete", ""]
    assert table["embedding_size"].dtype == "Int64"


def test_trial_table_orders_equal_scores_by_number_whatever_their_epochs(make_snapshot: MakeSnapshot) -> None:
    table = trial_table(make_snapshot([complete(0.2, 0.8, 0.1), complete(0.8), complete(0.9), complete(0.1, 0.8)]))

    assert table["trial"].tolist() == [2, 0, 1, 3]
    assert table["rank"].tolist() == [1, 2, 2, 2]


def test_equal_pruned_trials_share_a_rank_below_the_complete_ones(make_snapshot: MakeSnapshot) -> None:
    table = trial_table(make_snapshot([pruned(0.9), complete(0.9), pruned(0.8), pruned(0.9), pruned(0.7, 0.9)]))

    assert table["trial"].tolist() == [1, 4, 0, 3, 2]
    assert table["rank"].tolist() == [1, 2, 3, 3, 5]


def test_trial_table_copes_with_missing_attributes(make_snapshot: MakeSnapshot) -> None:
    killed = trial(state=TrialState.RUNNING)
    silent = trial(state=TrialState.FAIL)

    table = trial_table(make_snapshot([killed, silent]))

    assert table[["score", "difference", "best_epoch", "seconds", "seed"]].isna().all(axis=None)
    assert table["epochs"].tolist() == [0, 0]
    assert table["reason"].tolist() == ["not finished", "no reason recorded"]


def test_a_complete_trial_whose_epochs_were_not_recorded_is_ranked_by_its_final_score(
    make_snapshot: MakeSnapshot,
) -> None:
    final = create_trial(value=0.6, params={"hops": 2}, distributions={"hops": IntDistribution(1, 4)})
    snapshot = make_snapshot([complete(0.5), final])
    table = trial_table(snapshot)

    assert table["trial"].tolist() == [1, 0]
    assert table["score"].tolist() == [0.6, 0.5]
    assert pd.isna(table["best_epoch"].iloc[0])
    assert snapshot.best_number == 1


def test_scores_that_are_not_numbers_do_not_count(make_snapshot: MakeSnapshot) -> None:
    row = trial_table(make_snapshot([pruned(math.nan, 0.5, math.nan)])).iloc[0]

    assert (row["score"], row["best_epoch"], row["epochs"]) == (0.5, 2, 3)


@pytest.mark.parametrize("baseline", [pruned(0.9), failed(0.9, why="x"), trial(0.9, state=TrialState.RUNNING)])
def test_difference_is_missing_until_the_baseline_is_complete(
    make_snapshot: MakeSnapshot, baseline: optuna.trial.FrozenTrial
) -> None:
    assert trial_table(make_snapshot([baseline, complete(0.8)]))["difference"].isna().all()


def test_any_kind_of_parameter_has_a_column_of_one_type(make_snapshot: MakeSnapshot) -> None:
    kinds = {
        "bidirectional": CategoricalDistribution([True, False]),
        "encoder": CategoricalDistribution([None, "lstm"]),
        "width": CategoricalDistribution([64, "full"]),
        "hops": IntDistribution(1, 4),
        "seed": IntDistribution(0, 9),
    }
    values = [
        {"bidirectional": True, "encoder": None, "width": 64, "seed": 7},
        {"bidirectional": False, "encoder": "lstm", "width": "full", "hops": 2},
    ]
    trials = [
        create_trial(
            value=score,
            params=params,
            distributions={name: kinds[name] for name in params},
            intermediate_values={1: score},
        )
        for params, score in zip(values, (0.75, 0.5), strict=True)
    ]

    table = trial_table(make_snapshot(trials))

    assert parameter_columns(table) == ["bidirectional", "encoder", "width", "seed (parameter)", "hops"]
    assert table["bidirectional"].tolist() == [True, False]
    assert table["encoder"].tolist() == ["None", "lstm"]
    assert table["width"].tolist() == ["64", "full"]
    assert table["hops"].isna().tolist() == [True, False]
    assert table["hops"].iloc[1] == 2
    assert table["seed (parameter)"].iloc[0] == 7
    assert table["seed"].isna().all()


def test_a_search_that_has_not_begun_gives_empty_tables_with_columns(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot([])

    assert list(trial_table(snapshot).columns) == [
        *("rank", "trial", "score", "difference", "best_epoch", "epochs", "seconds", "seed", "state", "reason")
    ]
    assert len(trial_table(snapshot)) == len(confirmation_table(snapshot)) == len(comparison(snapshot)) == 0
    assert snapshot.best is None


def test_confirmation_table_names_what_each_run_repeats(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot(
        [complete(0.5), complete(0.6), complete(0.7)],
        [
            fresh(2, 0.75, seed=11),
            fresh(0, 0.5, seed=12),
            fresh(1, 0.25, seed=13),
            trial(state=TrialState.RUNNING),
            trial(0.1, state=TrialState.FAIL, **{CONFIRMS: 2}),
        ],
    )

    table = confirmation_table(snapshot)

    assert list(table.columns) == ["config", "trial", "confirms", "seed", "score", "state", "reason"]
    assert table["config"].tolist() == ["best", "baseline", "other", "unknown", "best"]
    assert table["trial"].tolist() == [0, 1, 2, 3, 4]
    assert table["seed"].tolist()[:3] == [11, 12, 13]
    assert table["score"].tolist()[:3] == [0.75, 0.5, 0.25]
    assert table["state"].tolist() == ["complete"] * 3 + ["running", "failed"]
    assert table["confirms"].isna().tolist() == [False, False, False, True, False]


def test_comparison_takes_mean_and_sample_deviation_of_complete_fresh_seeds(make_snapshot: MakeSnapshot) -> None:
    best = {"learning_rate": 1e-3, "momentum": 0.5, "dropout": 0.25, "embedding_size": 250}
    unfinished = trial(0.1, state=TrialState.RUNNING, **{CONFIRMS: 1})
    snapshot = make_snapshot(
        [complete(0.5), complete(0.75, params=best)],
        [fresh(1, 0.70), fresh(1, 0.72), fresh(1, 0.77), fresh(0, 0.5), unfinished],
    )

    table = comparison(snapshot)

    assert list(table.columns) == ["config", "trial", *BASELINE, "score", "seeds", "mean", "deviation"]
    assert table["config"].tolist() == ["best", "baseline"]
    assert table["trial"].tolist() == [1, 0]
    assert table["learning_rate"].tolist() == [1e-3, 4e-4]
    assert table["score"].tolist() == [0.75, 0.5]
    assert table["seeds"].tolist() == [3, 1]
    assert table["mean"].tolist() == pytest.approx([0.73, 0.5])
    # (0.70 - 0.73)^2 + (0.72 - 0.73)^2 + (0.77 - 0.73)^2 = 0.0026, over n - 1 = 2
    assert table["deviation"].iloc[0] == pytest.approx(math.sqrt(0.0013))
    assert math.isnan(table["deviation"].iloc[1])


def test_comparison_says_the_same_twice_where_the_baseline_is_the_best(make_snapshot: MakeSnapshot) -> None:
    table = comparison(make_snapshot([complete(0.75), complete(0.5)], [fresh(0, 0.7), fresh(0, 0.8)]))

    assert table["config"].tolist() == ["best", "baseline"]
    assert table["trial"].tolist() == [0, 0]
    assert table["seeds"].tolist() == [2, 2]
    pd.testing.assert_series_equal(table.iloc[0, 1:], table.iloc[1, 1:], check_names=False)


def test_comparison_shows_an_unfinished_baseline_without_a_score(make_snapshot: MakeSnapshot) -> None:
    table = comparison(make_snapshot([pruned(0.9), complete(0.5)]))

    assert table["trial"].tolist() == [1, 0]
    assert table["score"].iloc[0] == 0.5
    assert math.isnan(table["score"].iloc[1])


def test_comparison_has_no_best_row_before_a_trial_is_complete(make_snapshot: MakeSnapshot) -> None:
    assert comparison(make_snapshot([trial(0.5, state=TrialState.RUNNING)]))["config"].tolist() == ["baseline"]


def test_tables_read_what_a_study_that_asks_and_tells_wrote(make_run: MakeRun) -> None:
    run = make_run([])
    study = optuna.load_study(study_name=SEARCH, storage=run.storage())
    study.enqueue_trial(BASELINE)
    asked = study.ask()
    asked.suggest_float("learning_rate", 1e-5, 1e-2, log=True)
    asked.report(0.5, 1)
    asked.report(0.25, 2)
    study.tell(asked, 0.5)
    study.enqueue_trial(BASELINE)

    table = trial_table(load_snapshot(run))

    assert table["state"].tolist() == ["complete", "waiting"]
    assert table["learning_rate"].iloc[0] == 4e-4
    assert table["best_epoch"].iloc[0] == 1


def test_a_diverged_trial_has_no_rank_and_is_never_the_best(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot([complete(0.5), diverged(0.9, 0.0)])
    table = trial_table(snapshot)
    assert table["trial"].tolist() == [0, 1]
    assert table["state"].tolist() == ["complete", "diverged"]
    assert pd.isna(table["rank"].iloc[1])
    assert snapshot.best_number == 0
