import itertools

import numpy as np
import pytest

from results.race import DIVERGED, FAILED, Race, is_behind

A, B, C, BASE = 7, 4, 9, 0


def by_round(*scores: float) -> dict[int, float]:
    return dict(enumerate(scores))


def run(
    race: Race, table: dict[int, list[float]], seeds: int, *, backwards: bool = False
) -> list[list[tuple[int, int]]]:
    """The runs that a race wants, batch by batch, until it is over; `table` has every score."""
    scores = {number: dict(found) for number, found in race.scores.items()}
    batches = []
    while wanted := Race(race.finalists, scores).next_runs(seeds, BASE):
        batches.append(wanted)
        for number, each in reversed(wanted) if backwards else wanted:
            scores.setdefault(number, {})[each] = table[number][each]
    return batches


def runs_of(batches: list[list[tuple[int, int]]]) -> dict[int, int]:
    numbers = [number for number, _ in itertools.chain(*batches)]
    return {number: numbers.count(number) for number in numbers}


TABLE = {
    A: [0.81, 0.80, 0.82, 0.81, 0.80, 0.82, 0.81, 0.80],
    B: [0.80, 0.81, 0.80, 0.82, 0.81, 0.80, 0.82, 0.81],
    C: [0.70, 0.70, 0.71, 0.70, 0.71, 0.70, 0.70, 0.70],
    BASE: [0.50] * 8,
}
"""C is clearly behind after two rounds, B is not."""


@pytest.mark.parametrize(("third", "behind"), [(0.789, False), (0.788, True)])
def test_a_configuration_that_is_far_behind_is_told_from_noise(third: float, behind: bool) -> None:
    # Means 0.815, 0.805 and the third. Its residuals are 0, those of the others +-0.01: sum of squares 4e-4, over 2
    # degrees of freedom 2e-4, error of a difference sqrt(2 / 2 * 2e-4) = 0.01414; t(2 d.f., 90 %) 1.8856: 0.0267
    scores = np.array([[0.805, 0.825], [0.815, 0.795], [third, third]])
    assert is_behind(scores).tolist() == [False, False, behind]


def test_what_all_seeds_share_does_not_count_as_chance() -> None:
    apart = np.array([[0.80, 0.60, 0.70], [0.795, 0.594, 0.696]])
    # Differences 0.005, 0.006, 0.004: mean 0.005, deviation 0.001, error 0.001 / sqrt(3), t(2 d.f., 90 %) 1.886: 0.0011
    assert is_behind(apart).tolist() == [False, True]
    assert is_behind(np.array([[0.80, 0.60, 0.70], [0.594, 0.696, 0.795]])).tolist() == [False, False]


def test_equal_scores_are_not_behind() -> None:
    assert not is_behind(np.array([[0.3, 0.3], [0.1 + 0.2, 0.1 + 0.2]])).any()
    assert not is_behind(np.array([[0.5], [0.1]])).any()  # one seed shows no spread


def test_a_run_that_failed_is_left_out_and_one_that_diverged_is_behind() -> None:
    scores = np.array([[0.8, FAILED, 0.81, 0.80], [0.2, 0.9, 0.21, 0.20], [0.9, 0.9, DIVERGED, 0.9]])
    assert is_behind(scores).tolist() == [False, True, True]
    assert not is_behind(np.full((2, 2), DIVERGED)).any()
    assert is_behind(np.array([[0.5, 0.5], [DIVERGED, 0.9]])).tolist() == [False, True]


def test_one_finalist_and_the_baseline_run_under_every_seed_at_once() -> None:
    assert Race([A], {}).next_runs(3, BASE) == [(n, each) for each in range(3) for n in (BASE, A)]
    assert Race([BASE], {}).next_runs(2, BASE) == [(BASE, 0), (BASE, 1)]
    assert Race([A], {}).next_runs(2) == [(A, 0), (A, 1)]
    assert Race([A], {A: by_round(0.5, 0.5), BASE: by_round(0.4)}).next_runs(2, BASE) == [(BASE, 1)]
    assert Race([A], {A: by_round(0.5, 0.5), BASE: by_round(0.4, 0.4)}).next_runs(2, BASE) == []


@pytest.mark.parametrize("finalists", [[], [A], [A, B, C]])
def test_without_seeds_nothing_runs(finalists: list[int]) -> None:
    assert Race(finalists, {}).next_runs(0, BASE) == []


def test_without_finalists_nothing_runs() -> None:
    assert Race([], {}).next_runs(5, BASE) == []
    assert Race([], {}).winner is None


@pytest.mark.parametrize("seeds", [1, 2])
def test_up_to_two_seeds_run_at_once_since_nothing_is_decided_before(seeds: int) -> None:
    batches = run(Race([A, B, C], {}), TABLE, seeds)
    assert [sorted(batch) for batch in batches] == [sorted((n, each) for n in TABLE for each in range(seeds))]


def test_runs_that_are_saved_go_to_those_in_the_race() -> None:
    batches = run(Race([A, B, C], {}), TABLE, 5)
    # 20 runs: 8 for two rounds of four, 12 for four rounds of three
    assert runs_of(batches) == {BASE: 6, A: 6, B: 6, C: 2}
    assert [len(batch) for batch in batches] == [8, 3, 3, 3, 3]


def test_the_race_ends_when_one_is_left_with_all_its_seeds() -> None:
    table = TABLE | {B: TABLE[C]}
    assert runs_of(run(Race([A, B, C], {}), table, 4)) == {BASE: 4, A: 4, B: 2, C: 2}


def test_a_baseline_among_the_finalists_runs_once_a_round() -> None:
    table = TABLE | {BASE: TABLE[B]}
    assert runs_of(run(Race([A, BASE, C], {}), table, 3)) == {A: 3, BASE: 3, C: 2}  # of 9 runs one is left


def test_the_baseline_runs_on_after_it_has_left_the_race() -> None:
    table = TABLE | {BASE: TABLE[C]}
    assert runs_of(run(Race([A, BASE, B], {}), table, 3)) == {A: 3, BASE: 3, B: 3}


def test_neither_order_nor_interruptions_change_what_runs() -> None:
    race = Race([A, B, C], {})
    expected = list(itertools.chain(*run(race, TABLE, 5)))
    assert sorted(itertools.chain(*run(race, TABLE, 5, backwards=True))) == sorted(expected)
    for done in range(len(expected)):
        scores: dict[int, dict[int, float]] = {}
        for number, each in expected[:done]:
            scores.setdefault(number, {})[each] = TABLE[number][each]
        rest = itertools.chain(*run(Race([A, B, C], scores), TABLE, 5))
        assert sorted([*expected[:done], *rest]) == sorted(expected)


def test_more_seeds_go_on_with_the_same_race() -> None:
    first = itertools.chain(*run(Race([A, B, C], {}), TABLE, 3))
    scores: dict[int, dict[int, float]] = {}
    for number, each in first:
        scores.setdefault(number, {})[each] = TABLE[number][each]
    race = Race([A, B, C], scores)
    assert race.left == {C: 2}
    more = list(itertools.chain(*run(race, TABLE, 5)))
    assert {number for number, _ in more} == {A, B, BASE}
    assert {each for _, each in more} == {3, 4, 5}


def test_a_run_that_failed_is_wanted_again_unless_it_was_given_up() -> None:
    race = Race([A, B], {A: by_round(0.5, FAILED), B: by_round(0.4, 0.4), BASE: by_round(0.1, 0.1)})
    assert race.next_runs(2, BASE) == [(A, 1)]
    assert race.next_runs(2, BASE, {(A, 1)}) == []
    assert race.next_runs(3, BASE, {(A, 1)}) == [(BASE, 2), (A, 2), (B, 2)]


def test_the_winner_has_the_highest_mean_of_those_in_the_race() -> None:
    scores = {A: by_round(0.70, 0.72), B: by_round(0.73, 0.71), C: by_round(0.2, 0.2)}
    race = Race([A, B, C], scores)
    assert (race.winner, race.left, race.racing) == (B, {C: 2}, [A, B])
    assert race.was_run
    assert Race([A, B], {A: by_round(0.5, 0.7), B: by_round(0.7, 0.5)}).winner == A  # equal: the search's order


def test_who_has_left_does_not_win_though_the_others_have_become_worse() -> None:
    scores = {A: by_round(0.80, 0.80, 0.1), B: by_round(0.79, 0.79, 0.1), C: by_round(0.70, 0.70)}
    race = Race([A, B, C], scores)
    assert race.left[C] == 2
    assert race.mean(A) < race.mean(C)
    assert race.winner == A


def test_there_is_no_winner_before_all_have_ended_the_first_round() -> None:
    assert Race([A, B], {A: by_round(0.5, 0.5)}).winner is None
    assert Race([A, B], {A: by_round(0.5, 0.5), B: by_round(0.6)}).winner == B
    assert Race([A], {}).winner is None
    assert not Race([A], {A: by_round(0.5)}).was_run


def test_who_diverged_or_failed_does_not_win() -> None:
    assert Race([A, B], {A: by_round(0.9, DIVERGED), B: by_round(0.5, 0.6)}).winner == B
    assert Race([A, B], {A: by_round(DIVERGED), B: by_round(0.5)}).winner == B
    assert Race([A, B], {A: by_round(FAILED), B: by_round(0.5)}).winner == B
    assert Race([A, B], {A: by_round(DIVERGED, DIVERGED), B: by_round(DIVERGED, DIVERGED)}).winner is None


def test_two_finalists_compare_as_students_t_does() -> None:
    # Means 0.72 and 0.70, pooled deviation 0.014142 and error of the difference the same with 2 degrees of freedom:
    # t = 1.41421, whose distribution function for 2 degrees of freedom is 1/2 + t / (2 sqrt(2 + t**2)) = 0.853553
    found = Race([A, B], {A: by_round(0.73, 0.71), B: by_round(0.69, 0.71)}).probabilities
    assert found == {A: pytest.approx(0.853553, abs=0.005), B: pytest.approx(0.146447, abs=0.005)}


def test_equal_finalists_are_equally_likely_and_all_add_up_to_one() -> None:
    even = {number: by_round(0.5, 0.6) for number in (A, B, C)}
    assert Race([A, B, C], even).probabilities == dict.fromkeys((A, B, C), pytest.approx(1 / 3, abs=0.005))
    uneven = Race([A, B, C], {A: by_round(0.5, 0.6, 0.5), B: by_round(0.5, 0.62), C: by_round(0.4, DIVERGED)})
    assert uneven.probabilities[C] == 0
    assert sum(uneven.probabilities.values()) == pytest.approx(1)
    assert uneven.probabilities == uneven.probabilities  # noqa: PLR0124 - the same each time it is read
    assert uneven.probabilities == Race(uneven.finalists, uneven.scores).probabilities


@pytest.mark.parametrize(
    "race",
    [
        Race([A], {A: by_round(0.5, 0.6)}),
        Race([A, B], {A: by_round(0.5, 0.6), B: by_round(0.5)}),
        Race([A, B], {A: by_round(0.5, 0.5), B: by_round(0.4, 0.4)}),
        Race([A, B], {A: by_round(DIVERGED), B: by_round(DIVERGED)}),
        Race([A, B], {}),
    ],
)
def test_what_cannot_be_told_has_no_probability(race: Race) -> None:
    assert race.probabilities == {}
