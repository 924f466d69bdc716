"""The race of the finalists over a real journal; scores of its runs are made up."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState

from results.run_folder import CONFIRMATION, CONFIRMS, SEED, RunFolder
from results.snapshot import load_snapshot
from search_spaces import load
from tests.tuning.studies import searching
from tests.tuning.study.test_study import run_trial
from tuning import fresh_seeds
from tuning.fresh_seeds import run_race
from tuning.study.live_trial import Epoch
from tuning.study.seeds import CONFIRMATION_SEEDS, derive_seed
from tuning.study.study import Study

MakeRun = Callable[..., RunFolder]

SCORES = {
    0: [0.50] * 8,
    1: [0.80, 0.81, 0.80, 0.82, 0.81, 0.80, 0.82, 0.81],
    2: [0.70, 0.70, 0.71, 0.70, 0.71, 0.70, 0.70, 0.70],
    3: [0.81, 0.80, 0.82, 0.81, 0.80, 0.82, 0.81, 0.80],
}
"""By trial and fresh seed. Trial 2, the best of the search, is clearly behind after two seeds."""

SEEDS = [derive_seed(3, CONFIRMATION_SEEDS, each) for each in range(8)]


class Machine:
    """Runs trials as `run_trials` does, with the scores of `SCORES`.

    Args:
        scores: by trial and fresh seed; a text is the reason why the run fails.
        stop_after: number of runs after which Ctrl-C comes; the runs at that time stay open.
        backwards: whether runs that are started together end in reverse order.
    """

    def __init__(
        self,
        scores: Mapping[int, Sequence[float | str]] = SCORES,
        *,
        stop_after: float = float("inf"),
        backwards: bool = False,
    ) -> None:
        self._scores, self._left, self._backwards = scores, stop_after, backwards
        self.batches: list[list[tuple[int, int]]] = []

    def run_trials(self, study: Study, *_: object, **__: object) -> None:
        lives = list(iter(study.ask, None))
        self.batches.append([])
        for live in reversed(lives) if self._backwards else lives:
            if self._left <= 0:
                raise KeyboardInterrupt
            self._left -= 1
            number, repeated, each = live.trial.number, live.trial.user_attrs[CONFIRMS], SEEDS.index(live.seed)
            self.batches[-1].append((repeated, each))
            score = self._scores[repeated][each]
            if isinstance(score, str):
                study.finish(number, score)
                continue
            for epoch in range(1, study.epochs + 1):
                study.report(number, Epoch(epoch, score, float(epoch)))
            study.finish(number)


@pytest.fixture
def run(make_run: MakeRun) -> RunFolder:
    """A search whose baseline, trial 0, is clearly worse than the other three."""
    run = make_run(pruner="none", metric_title="accuracy", validation_questions=100)
    study = searching(run, trials=4)
    for score in (0.5, 0.79, 0.8, 0.78):
        run_trial(study, score)
    return run


@pytest.fixture
def race(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[tuple[int, int]]]]:
    """race(run, seeds, machine): runs that were done, by batch: trial and number of the fresh seed"""

    def race(run: RunFolder, seeds: int, machine: Machine | None = None) -> list[list[tuple[int, int]]]:
        machine = machine or Machine()
        monkeypatch.setattr(fresh_seeds, "run_trials", machine.run_trials)
        plan: Any = SimpleNamespace(run=run, space=load("san"), confirm=seeds, setup=None, limits=None)
        run_race(plan)
        return machine.batches

    return race


Race = Callable[..., list[list[tuple[int, int]]]]


def scored(run: RunFolder) -> dict[tuple[int, int], float]:
    """Score of each complete run, by trial and seed; each has run once."""
    found = [trial for trial in run.study(CONFIRMATION).trials if trial.state == TrialState.COMPLETE]
    scores = {(trial.user_attrs[CONFIRMS], trial.user_attrs[SEED]): trial.value for trial in found}
    assert len(scores) == len(found)
    return scores


def test_who_is_behind_leaves_and_the_others_get_its_runs(run: RunFolder, race: Race) -> None:
    batches = race(run, 5)
    # 20 runs: two rounds of four at once, then four rounds without trial 2
    assert batches[0] == [(number, each) for each in range(2) for number in (0, 2, 1, 3)]
    assert batches[1:] == [[(number, each) for number in (0, 1, 3)] for each in range(2, 6)]
    snapshot = load_snapshot(run)
    assert snapshot.race.left == {2: 2}
    assert snapshot.best_number == 3
    assert race(run, 5) == []


def test_the_finalists_are_named(run: RunFolder, race: Race, capsys: pytest.CaptureFixture[str]) -> None:
    race(run, 2)
    said = capsys.readouterr().err
    assert "trials 2, 1, 3 differ by no more than chance explains: fresh seeds choose among them" in said
    assert "running trials 0, 2, 1, 3 again under 2 fresh seeds" in said


def test_a_clear_best_is_run_beside_the_baseline_alone(make_run: MakeRun, race: Race) -> None:
    run = make_run(pruner="none", metric_title="accuracy", validation_questions=100)
    study = searching(run, trials=3)
    for score in (0.5, 0.6, 0.9):
        run_trial(study, score)
    assert race(run, 3) == [[(number, each) for each in range(3) for number in (0, 2)]]
    assert load_snapshot(run).best_number == 2


@pytest.mark.parametrize("stop_after", [0, 3, 8, 9, 13])
def test_an_interrupted_race_goes_on_with_the_same_decisions(
    make_run: MakeRun, run: RunFolder, race: Race, stop_after: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        race(run, 5, Machine(stop_after=stop_after))
    race(run, 5, Machine(backwards=True))
    whole = make_run("whole", pruner="none", metric_title="accuracy", validation_questions=100)
    study = searching(whole, trials=4)
    for score in (0.5, 0.79, 0.8, 0.78):
        run_trial(study, score)
    race(whole, 5)
    assert scored(run) == scored(whole)


def test_more_seeds_go_on_with_the_race(run: RunFolder, race: Race) -> None:
    race(run, 2)
    assert load_snapshot(run).best_number == 1  # as good as trial 3, but better in the search
    more = list(itertools.chain(*race(run, 4)))
    assert more == [(number, each) for each in range(2, 4) for number in (0, 1, 3)]
    assert load_snapshot(run).best_number == 3


def test_without_seeds_nothing_runs(run: RunFolder, race: Race) -> None:
    assert race(run, 0) == []
    assert load_snapshot(run).best_number == 2


def test_a_run_that_failed_is_done_again_only_when_the_search_is_resumed(run: RunFolder, race: Race) -> None:
    broken = SCORES | {1: ["disk gone", *SCORES[1][1:]]}
    batches = race(run, 3, Machine(broken))
    assert [run for batch in batches for run in batch].count((1, 0)) == 1
    assert race(run, 3)[0] == [(1, 0)]
    assert (1, SEEDS[0]) in scored(run)
    assert race(run, 3) == []
