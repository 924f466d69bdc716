import json
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from benchmarks import null_trials
from benchmarks.null_trials import Measurement, compared, main, run_here


def slowing_down(trials: int, pruner: str = "halving") -> Measurement:
    """Each trial takes a millisecond more than the one before."""
    assert pruner == "halving"
    return Measurement([number * (number + 1) / 2000 for number in range(trials)], journal=2**20, memory=100)


def test_the_cost_leaves_out_the_start_of_the_workers() -> None:
    ends = [0.0, 90.0, *[100.0 + 0.02 * number for number in range(109)]]
    assert Measurement(ends, 0, 0).cost == pytest.approx(20.0)


def test_the_cost_near_a_trial_is_that_of_the_trials_around_it() -> None:
    assert slowing_down(400).cost_near(200) == pytest.approx(200.5)


def test_the_cost_near_an_edge_is_that_of_the_trials_there_are() -> None:
    assert slowing_down(400).cost_near(0) == pytest.approx(25.5)


def test_the_engines_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[tuple[str, int]] = []

    def measured(engine: str, trials: int) -> Measurement:
        turns.append((engine, trials))
        return Measurement([number * (0.01 if engine == "here" else 0.5) for number in range(12)], 0, 0)

    monkeypatch.setattr(null_trials, "measured", measured)
    assert compared(100, rounds=2) == {
        "here": pytest.approx(10),
        "stock": pytest.approx(500),
        "ratio": pytest.approx(50),
    }
    assert turns == [("here", 50), ("stock", 50)] * 2


def test_the_result_is_printed_for_a_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(null_trials, "measured", lambda _, trials, pruner: slowing_down(trials, pruner))
    assert main(["--growth", "400", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["ratio"] == pytest.approx(349.5 / 100.5)
    assert (result["trials"], result["journal MiB"], result["memory MiB"]) == (400, 1.0, 100)


@pytest.mark.long
@pytest.mark.rare
def test_plain_optuna_reads_every_null_trial(tmp_path: Path) -> None:
    measured = run_here(tmp_path, 12, "random")
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "run" / "journal.log")))
    trials = optuna.load_study(study_name="search", storage=storage).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 12
    assert {tuple(trial.intermediate_values.items()) for trial in trials} == {((1, 0.1), (2, 0.2), (3, 0.3))}
    assert len(measured.ends) == 12
