import math
import random

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from results.report.cautions import cautions
from results.report.findings import edge, findings, wider_ranges
from results.snapshot import load_snapshot
from results.tables.fresh_seeds import chance_difference
from results.tables.importance import importance, top_share
from tests.results.journals import BASELINE, MakeRun, MakeSnapshot, complete, failed, fresh, pruned
from tests.results.large import many_trials


def test_the_hyperparameter_that_decides_the_score_is_the_most_important(make_snapshot: MakeSnapshot) -> None:
    shares = importance(make_snapshot(many_trials(60)))  # its scores rise with the momentum

    assert next(iter(shares)) == "momentum"
    assert shares["momentum"] > 0.5
    assert sum(shares.values()) == pytest.approx(1)


def test_stopped_trials_count_for_importance(make_run: MakeRun) -> None:
    trials = [pruned(0.3 - number / 100, params=BASELINE | {"dropout": 0.05 * number}) for number in range(9)]

    run = make_run(trials)
    assert importance(load_snapshot(run)) == {}  # nine are too few
    run.study().add_trial(complete(0.9, params=BASELINE | {"dropout": 0.7}))

    assert importance(load_snapshot(run))["dropout"] > 0.5  # the others have one value


@pytest.mark.parametrize("worse", [0, 3])
def test_equal_scores_cannot_tell_what_mattered(make_snapshot: MakeSnapshot, worse: int) -> None:
    draw = random.Random(0)
    trials = [complete(0.9, params=BASELINE | {"dropout": draw.uniform(0, 0.75)}) for _ in range(20 - worse)]
    trials += [complete(0.5, params=BASELINE | {"dropout": draw.uniform(0, 0.75)}) for _ in range(worse)]
    snapshot = make_snapshot(trials)
    assert importance(snapshot) == {}
    assert findings(snapshot, {})[0] == (
        f"Which hyperparameter mattered most cannot be told: equal scores put {20 - worse} of the 20 scored trials "
        "among the best."
    )


def test_importance_tells_what_the_best_share_and_not_what_the_worst_do(make_snapshot: MakeSnapshot) -> None:
    draw = random.Random(0)
    trials = []
    for number in range(20):
        params = BASELINE | {"dropout": draw.uniform(0, 0.75), "momentum": draw.uniform(0, 0.99)}
        params |= {"dropout": 0.3} if number < 5 else {"momentum": 0.5} if number >= 15 else {}
        trials.append(complete(0.9 - number / 100, params=params))

    assert next(iter(importance(make_snapshot(trials)))) == "dropout"


@pytest.mark.parametrize(("ranked", "share"), [(10, 0.5), (25, 0.2), (50, 0.1), (1000, 0.1)])
def test_at_least_five_trials_are_the_best(ranked: int, share: float) -> None:
    assert top_share(ranked) == pytest.approx(share)


@pytest.mark.parametrize(
    ("name", "value", "kind", "side"),
    [
        ("learning_rate", 1.2e-5, FloatDistribution(1e-5, 1e-2, log=True), "lower"),
        ("learning_rate", 5e-4, FloatDistribution(1e-5, 1e-2, log=True), ""),
        ("learning_rate", 9e-3, FloatDistribution(1e-5, 1e-2, log=True), "upper"),
        ("dropout", 0.01, FloatDistribution(0, 0.7), ""),  # training accepts no less than 0
        ("dropout", 0.69, FloatDistribution(0, 0.7), "upper"),
        ("hops", 1, IntDistribution(1, 3), ""),
        ("hops", 3, IntDistribution(1, 3), "upper"),
        ("hops", 2, IntDistribution(2, 2), ""),
        ("attention", "paper", CategoricalDistribution(["paper", "bounded"]), ""),
    ],
)
def test_the_edge_of_a_range(name: str, value: object, kind: BaseDistribution, side: str) -> None:
    assert edge(name, value, kind) == side


def test_findings_are_plain_sentences(make_snapshot: MakeSnapshot) -> None:
    best = BASELINE | {"learning_rate": 9.9e-3}
    snapshot = make_snapshot([complete(0.5, 0.5, 0.5, 0.5), complete(0.7, params=best), pruned(0.3), pruned(0.2, 0.25)])

    said = findings(snapshot, {"dropout": 0.75, "momentum": 0.25})

    assert said == [
        "The hyperparameter that mattered most is dropout (importance 75 %), followed by momentum (25 %).",
        "The best learning_rate (9.9e-03) lies at the upper edge of its range (1.0e-05 to 1.0e-02, logarithmic): "
        "widen it upwards. To do so, write the wider space to a file (docs/own-search-space.md), and have a new search "
        f"learn from this one: python -m tuning.search --trials 20 --space FILE.py --prior {snapshot.folder.path}",
        "More trials would likely help: the 4 scored so far are too few to show a trend.",
        # 10 s for 1 of 4 epochs and 10 s for 2 of 4: 30 + 10 s saved; spent 30 + 30 + 10 + 10 s
        "Stopping 2 trials early saved about 40 s of training, 33 % of what all trials would have taken to their end.",
    ]


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("python -m tuning.search --run demo --data d --space=mine.py", "python -m tuning.search --data d"),
        ("python -m tuning.search --space san --run='a b' --set 'x=1 2'", "python -m tuning.search --set 'x=1 2'"),
        ("", "python -m tuning.search"),
    ],
)
def test_the_command_that_widens_a_range_keeps_the_other_options(
    command: str, again: str, make_snapshot: MakeSnapshot
) -> None:
    snapshot = make_snapshot([complete(0.5, params=BASELINE | {"dropout": 0.75})], command=command)
    assert wider_ranges(snapshot).endswith(f": {again} --space FILE.py --prior {snapshot.folder.path}")


@pytest.mark.parametrize(
    ("late", "said"),
    [
        (0.60, "raised the best accuracy by 10.00 points, more than chance explains (4.38): more trials would likely"),
        (0.51, "raised the best accuracy by 1.00 points, within what chance explains (4.47): more trials would hardly"),
    ],
)
def test_the_later_half_tells_whether_to_go_on(make_snapshot: MakeSnapshot, late: float, said: str) -> None:
    trials = [complete(0.5 if number < 6 else late, minutes=(number, number + 1)) for number in range(12)]

    # Two standard errors of a difference of proportions 0.6 (0.51) on 1000 questions
    assert said in findings(make_snapshot(trials), {})[2]


def test_fresh_seeds_tell_the_noise_where_there_are_some(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot([complete(0.5), complete(0.6)], [fresh(1, 0.5), fresh(1, 0.52), fresh(0, 0.5)])

    assert chance_difference(snapshot) == pytest.approx(2 * math.sqrt(2) * 0.0141421, rel=1e-4)


def test_a_close_second_is_a_caution(make_snapshot: MakeSnapshot) -> None:
    said = cautions(make_snapshot([complete(0.5), complete(0.60), complete(0.58), failed(why="x")]))

    assert said == [
        "Trial 2 lies within noise of the best, trial 1: which of them is best is not known.",
        "Best and baseline were not both repeated under two or more fresh seeds: the difference is partly luck.",
        "1 of 4 trials failed: what they would have scored is not known.",
    ]


def test_fresh_seeds_may_favour_another_trial(make_snapshot: MakeSnapshot) -> None:
    again = [fresh(0, 0.49), fresh(0, 0.50), fresh(1, 0.52), fresh(1, 0.53), fresh(2, 0.58), fresh(2, 0.59)]

    said = cautions(make_snapshot([complete(0.5), complete(0.62), complete(0.5)], again))  # trial 2 is no finalist

    assert said == [
        "Trial 2 lies within noise of the best, trial 1: which of them is best is not known.",
        # 3 points, error 0.00707 times 4.3027 = 3.04
        "The best lies within noise of the baseline, or below it.",
        "Under fresh seeds trial 2 did better (58.50 %) than trial 1 (52.50 %), which was chosen as the best.",
    ]


def test_a_clear_best_needs_no_caution(make_snapshot: MakeSnapshot) -> None:
    again = [fresh(0, 0.500), fresh(0, 0.501), fresh(1, 0.800), fresh(1, 0.801)]

    assert cautions(make_snapshot([complete(0.5), complete(0.8)], again)) == []
