import json
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from benchmarks.simulation import __main__ as simulation
from benchmarks.simulation import recorded_curves
from benchmarks.simulation.gpus import EPOCH_TIMES, EpochTimes, width_of
from benchmarks.simulation.recorded_curves import EASY_VQA, RecordedCurves, record
from benchmarks.simulation.search import Outcome, Setting, Simulation
from results.run_folder import RunFolder
from search_spaces import load

SPACE = load("san")
LINEAR = EpochTimes(questions=60, scored=0, rates={1: 60.0, 4: 240.0})
"""An epoch takes one second at every width up to 4."""


def simulated(setting: Setting, times: EpochTimes = LINEAR, folder: Path | None = None) -> Outcome:
    return Simulation(setting, SPACE, RecordedCurves.read(EASY_VQA, SPACE.parameters), times, folder).run()


def test_the_time_of_all_gpus_is_accounted_for() -> None:
    found = simulated(Setting(gpus=3, width=4, trials=40))
    assert found.devices.total == pytest.approx(3 * found.seconds)
    assert len(found.driver) == 40
    assert found.driver == sorted(found.driver)
    assert found.devices.training == pytest.approx(found.epochs / 4, rel=0.1)  # a second for four epochs, +-10 %


def test_one_gpu_waits_for_nobody() -> None:
    devices = simulated(Setting(gpus=1, width=4, trials=16, variation=0)).devices
    assert devices.turn == 0
    assert devices.end < 0.01  # the driver's last answer, that nothing is left


def test_gpus_whose_jobs_take_different_times_wait_for_their_turn_and_less_with_jobs_planned_ahead() -> None:
    waited = [
        simulated(Setting(gpus=8, width=4, trials=400, variation=0.1, ahead=ahead)).devices.turn for ahead in (0, 8)
    ]
    assert waited[1] < waited[0] / 2


def test_the_journal_of_a_simulated_search_is_that_of_a_search(tmp_path: Path) -> None:
    found = simulated(Setting(gpus=2, width=2, trials=12), folder=tmp_path)
    trials = RunFolder.open(tmp_path / "run").study().trials
    assert [trial.state.is_finished() for trial in trials] == [True] * 12
    assert sum(len(trial.intermediate_values) for trial in trials) == found.epochs


def test_an_epoch_of_a_wider_cohort_takes_longer_and_less_for_each_member() -> None:
    for times in EPOCH_TIMES.values():
        seconds = np.array([times.seconds(2**power) for power in range(7)])
        assert (np.diff(seconds) > 0).all()
        assert (np.diff(seconds / 2.0 ** np.arange(7)) < 0).all()
    assert [width_of(members) for members in (1, 2, 3, 9, 64)] == [1, 2, 4, 16, 64]


def test_a_recorded_configuration_has_about_its_own_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_curves, "NOISE", 0.0)
    parameters = {"x": FloatDistribution(1e-4, 1.0, log=True)}
    trials = [
        create_trial(
            params={"x": x},
            distributions=parameters,
            state=TrialState.COMPLETE,
            value=score,
            intermediate_values=dict.fromkeys(range(1, epochs + 1), score),
        )
        for x, score, epochs in ((1e-4, 0.1, 3), (1e-3, 0.2, 3), (1e-2, 0.4, 3), (1.0, 0.9, 2))
    ]
    assert record(trials, 3, tmp_path / "curves.json") == 3  # the last one was stopped early
    curves = RecordedCurves.read(tmp_path / "curves.json", parameters)
    assert curves.curve({"x": 1e-3}, seed=0) == pytest.approx([0.2] * 3, abs=1e-4)


def test_the_command_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--gpus", "1", "2", "--widths", "4", "--trials", "24", "--growth", "100", "--samplers", "random"]
    assert simulation.main([*small, "--json", "--plot", str(tmp_path / "growth.png")]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["gpus"] for row in rows[:4]] == [1, 2, 1, 2]
    assert rows[0]["speedup"] == 1 < rows[1]["speedup"] <= 2.2
    for row in rows[:4]:
        assert sum(row[name] for name in simulation.SHARES) == pytest.approx(1)
    assert [(row["storage"], row["trials"]) for row in rows[4:]] == [("memory", 100), ("journal", 100)]
    assert all(row["ms"] > 0 for row in rows[4:])
    assert (tmp_path / "growth.png").stat().st_size > 1000
