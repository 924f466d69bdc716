import io
import json

import pytest
from optuna.trial import FrozenTrial
from rich.console import Console

from results.report.cautions import cautions
from results.report.choice import choice
from results.report.facts import score_note
from results.report.headline_numbers import headline_numbers
from results.report.markdown import markdown_report
from results.report.verdict import verdict
from results.snapshot import RunSnapshot
from results.summary import as_json, print_seeds, print_summary
from results.tables import seed_table
from tests.results.journals import MakeSnapshot, complete, diverged, fresh

SEARCH = [complete(0.5), complete(0.62), complete(0.60), complete(0.61)]


def under_seeds(**scores: list[float]) -> list[FrozenTrial]:
    """Runs of `trial_N` under seeds 0, 1, ..., round by round."""
    rounds = range(max(map(len, scores.values())))
    return [
        fresh(int(name.removeprefix("trial_")), found[each], seed=each)
        for each in rounds
        for name, found in scores.items()
        if each < len(found)
    ]


@pytest.fixture
def snapshot(make_snapshot: MakeSnapshot) -> RunSnapshot:
    """Trial 2 wins, trial 1, the best of the search, is not far behind, and trial 3 has left."""
    again = under_seeds(
        trial_0=[0.50, 0.51, 0.50], trial_1=[0.62, 0.61, 0.61], trial_2=[0.61, 0.63, 0.63], trial_3=[0.50, 0.51]
    )
    return make_snapshot(SEARCH, again)


def test_it_says_why_another_trial_than_the_best_of_the_search_was_chosen(snapshot: RunSnapshot) -> None:
    why, likely = choice(snapshot)

    assert why == (
        "Fresh seeds chose trial 2, not trial 1 with the best score of the search (60.00 % against 62.00 %): "
        "its mean under them is higher (62.33 % against 61.33 %)."
    )
    # Pooled deviation sqrt(3.833e-4 / 5) = 0.008756, error of the difference 0.007149, t = 0.01 / 0.007149 = 1.399; the
    # distribution function of t for 5 degrees of freedom is 0.890 there, and trial 3 is far behind
    assert likely == ("Of the 3 finalists, trial 2 is the best with a probability of 89 % (by 3, 2 and 3 fresh seeds).")


def test_a_clear_winner_is_likely_the_best(make_snapshot: MakeSnapshot) -> None:
    again = under_seeds(trial_1=[0.64, 0.641], trial_2=[0.60, 0.601], trial_3=[0.59, 0.591], trial_0=[0.5, 0.5])

    assert choice(make_snapshot(SEARCH, again)) == [
        "Of the 3 finalists, trial 1 is the best with a probability of more than 99 % (by 2 fresh seeds each)."
    ]


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ([0.50, 0.50], "their means are 62.50 % against 50.00 %, and trial 1 left the race after 2 seeds."),
        ([None], "trial 1 diverged under one of them."),
    ],
)
def test_it_says_why_the_best_of_the_search_was_not_chosen(
    make_snapshot: MakeSnapshot, first: list[float | None], why: str
) -> None:
    again = under_seeds(trial_2=[0.62, 0.63], trial_3=[0.61, 0.62], trial_0=[0.5, 0.5])
    for seed, score in enumerate(first):
        run = fresh(1, score, seed=seed) if score else diverged(0.3, 0.0)
        run.user_attrs |= {"confirms": 1, "seed": seed}
        again.append(run)

    assert choice(make_snapshot(SEARCH, again))[0].endswith(f"(60.00 % against 62.00 %): {why}")


@pytest.mark.parametrize(
    "again",
    [
        [],
        under_seeds(trial_0=[0.5, 0.5], trial_1=[0.6, 0.6]),
        under_seeds(trial_0=[0.5], trial_1=[0.6], trial_2=[0.6], trial_3=[0.5]),
    ],
)
def test_it_says_nothing_where_nothing_was_chosen_or_can_be_told(
    make_snapshot: MakeSnapshot, again: list[FrozenTrial]
) -> None:
    assert choice(make_snapshot(SEARCH, again)) == []


def test_the_interval_allows_for_the_choice_among_the_finalists(make_snapshot: MakeSnapshot) -> None:
    # Means 0.72 and 0.62, pooled deviation and error 0.002828 as without a choice; Student's t of 2 degrees of freedom
    # at 1 - 0.05 / 2 / 2 = 0.9875 is 6.2053: 1.76 points instead of 1.22
    again = under_seeds(trial_0=[0.618, 0.622], trial_1=[0.718, 0.722], trial_2=[0.69, 0.71])
    snapshot = make_snapshot([complete(0.5), complete(0.62), complete(0.60)], again)

    assert verdict(snapshot) == (
        "The best configuration beats the baseline by 10.00 points (mean of 2 fresh seeds each); the 97.5 % interval "
        "(not 95 %, because the same seeds chose the best of 2 finalists), +8.24 to +11.76 points, lies above 0: a "
        "reliable improvement."
    )
    assert headline_numbers(snapshot)[2][1:] == ("+10.00 points", "97.5 % interval +8.24 to +11.76")


def test_a_baseline_among_the_finalists_is_not_one_of_those_it_is_compared_with(make_snapshot: MakeSnapshot) -> None:
    again = under_seeds(trial_0=[0.618, 0.622], trial_1=[0.718, 0.722])
    snapshot = make_snapshot([complete(0.60), complete(0.62)], again)

    assert "the 95 % interval, +8.78 to +11.22 points," in verdict(snapshot)


def test_fresh_seeds_may_choose_the_baseline(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot([complete(0.60), complete(0.62)], under_seeds(trial_0=[0.62, 0.63], trial_1=[0.61, 0.62]))

    assert snapshot.best_number == 0
    assert verdict(snapshot) == (
        "The baseline is the best configuration: its mean of 62.50 % under fresh seeds is the highest of the 2 "
        "finalists."
    )
    assert "not trial 1 with the best score of the search" in choice(snapshot)[0]


def test_the_table_tells_how_each_finalist_did(snapshot: RunSnapshot) -> None:
    table = seed_table(snapshot)

    assert table["trial"].tolist() == [2, 1, 3, 0]
    assert table["race"].tolist() == ["won", "stayed", "left after 2 seeds", ""]
    assert table["seeds"].tolist() == [3, 3, 2, 3]
    assert table["probability"].sum() == pytest.approx(1)
    assert table["probability"].isna().tolist() == [False, False, False, True]


def test_screen_report_and_json_have_it(snapshot: RunSnapshot) -> None:
    for show in (print_summary, print_seeds):
        printed = io.StringIO()
        show(snapshot, Console(file=printed, width=120))
        assert all(sentence in printed.getvalue() for sentence in choice(snapshot))
    assert "left after 2 seeds" in printed.getvalue()
    report = markdown_report(snapshot)
    assert all(sentence in report for sentence in choice(snapshot))
    rows = json.loads(json.dumps(as_json(snapshot)))["fresh_seeds"]
    assert [row["race"] for row in rows] == ["won", "stayed", "left after 2 seeds", ""]
    assert rows[3]["probability"] is None
    assert "the 3 finalists were chosen by it among all trials" in score_note(snapshot)


def test_without_a_race_no_table_mentions_one(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot([complete(0.5), complete(0.7)], under_seeds(trial_0=[0.5, 0.5], trial_1=[0.7, 0.7]))
    printed = io.StringIO()
    print_seeds(snapshot, Console(file=printed, width=120))

    assert "race" not in printed.getvalue()
    assert "finalist" not in markdown_report(snapshot) + score_note(snapshot)


def test_a_finalist_that_may_be_as_good_is_a_caution(snapshot: RunSnapshot) -> None:
    # Trials 2 and 1: difference 1 point, pooled deviation 0.00913, error 0.00745, t(4) 2.7764: 2.07 points
    assert cautions(snapshot) == ["Trial 1 lies within noise of the best, trial 2: which of them is best is not known."]
