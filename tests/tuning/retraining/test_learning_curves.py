"""What the picture of a retraining's losses shows."""

import pandas as pd
import pytest

from san_core.config import TrainingConfig
from san_core.training import EpochResult
from tuning.retraining.learning_curves import curve_figure, curve_table
from tuning.retraining.plan import Job
from tuning.retraining.training import Outcome


def _outcome(name: str, trial: int, seed: int, *losses: float) -> Outcome:
    job = Job(name, trial, TrainingConfig(seed=seed), len(losses))
    return Outcome(job, [EpochResult(n, loss, None, 2.0) for n, loss in enumerate(losses, start=1)], [])


@pytest.fixture
def table() -> pd.DataFrame:
    return curve_table(
        [
            _outcome("best", 5, 1, 2.0, 1.0),
            _outcome("baseline", 0, 1, 4.0, 3.0, 2.5),
            _outcome("best", 5, 2, 1.0, 0.5),
            _outcome("baseline", 0, 2, 5.0, 4.0, 1.5),
        ]
    )


def test_a_row_for_each_epoch_of_each_training(table: pd.DataFrame) -> None:
    assert len(table) == 2 * 2 + 2 * 3
    assert table.iloc[3].to_dict() == {
        "configuration": "baseline",
        "trial": 0,
        "seed": 1,
        "epoch": 2,
        "loss": 3.0,
        "seconds": 2.0,
    }


def test_thick_lines_are_means_and_thin_ones_seeds(table: pd.DataFrame) -> None:
    axes = curve_figure(table).axes[0]
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines if line.get_linewidth() > 2}
    assert lines == {"best": [1.5, 0.75], "baseline": [4.5, 3.5, 2.0]}
    thin = [tuple(line.get_ydata()) for line in axes.lines if line.get_linewidth() < 1]
    assert sorted(thin) == [(1.0, 0.5), (2.0, 1.0), (4.0, 3.0, 2.5), (5.0, 4.0, 1.5)]
    assert [text.get_text() for text in axes.texts] == ["best 0.75", "baseline 2"]
    assert axes.get_ylim()[0] == 0
    assert "2 seeds" in axes.get_title(loc="left")


def test_names_of_lines_that_end_closely_do_not_overlap() -> None:
    table = curve_table([_outcome("best", 1, 1, 2.0, 0.50), _outcome("baseline", 0, 1, 2.0, 0.52)])
    figure = curve_figure(table)
    figure.draw_without_rendering()
    low, high = (text.get_window_extent() for text in figure.axes[0].texts)
    assert low.y1 <= high.y0


def test_one_seed_has_no_thin_line() -> None:
    axes = curve_figure(curve_table([_outcome("baseline", 0, 1, 2.0)])).axes[0]
    assert not [line for line in axes.lines if line.get_linewidth() < 1]
    assert axes.get_title(loc="left") == "Training loss by epoch"
