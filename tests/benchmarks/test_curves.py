import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.curves import LoggedEpoch, Search, common_score, summary


def search(*epochs: tuple[float, int, int, float, float], cpu: list[tuple[float, float]] | None = None) -> Search:
    """Of (at, trial, epoch, score, seconds)."""
    return Search({}, [LoggedEpoch(at, *rest) for at, *rest in epochs], cpu or [])  # type: ignore[arg-type]


# Two slots. Trial 0 trains from 10 to 30, trial 1 from 12 to 22, trial 2 from 26 to 40.
OURS = search((20, 0, 1, 0.3, 10), (22, 1, 1, 0.5, 10), (30, 0, 2, 0.7, 20), (40, 2, 1, 0.6, 14))
THEIRS = search((60, 0, 1, 0.4, 30), (90, 1, 1, 0.5, 30), (120, 0, 2, 0.6, 90))


def test_log_is_read_up_to_a_line_that_was_cut_short(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"at": 1000.0, "system": "here", "seed": 3},
        {"at": 1012.5, "trial": 4, "epoch": 1, "score": 0.25, "seconds": 2.5},
        {"at": 1011.0, "trial": "a", "epoch": 1, "score": 0.5, "seconds": 2.0},
        {"at": 1013.0, "cpu": 3.5},
    ]
    (tmp_path / "log").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"at": 10')
    found = Search.read(tmp_path / "log")
    assert found.head == lines[0]
    assert found.epochs == [LoggedEpoch(11.0, "a", 1, 0.5, 2.0), LoggedEpoch(12.5, 4, 1, 0.25, 2.5)]
    assert found.cpu == [(13.0, 3.5)]


@pytest.mark.parametrize(("seconds", "best"), [(19.9, 0.0), (20, 0.3), (29, 0.5), (1000, 0.7)])
def test_best_so_far(seconds: float, best: float) -> None:
    assert OURS.best_by(seconds) == best


@pytest.mark.parametrize(("score", "seconds"), [(0.3, 20), (0.31, 22), (0.6, 30), (0.71, math.inf)])
def test_time_to_a_score(score: float, seconds: float) -> None:
    assert OURS.time_to(score) == seconds


def test_training_share_counts_from_the_first_trials_begin_to_the_last_ones() -> None:
    """10 to 26: trial 0 all the 16 seconds, trial 1 ten of them."""
    assert OURS.begun == 10
    assert OURS.trained(slots=2) == pytest.approx((16 + 10) / (2 * 16))


def test_busy_cores_are_cpu_time_in_the_same_window() -> None:
    cpu = [(5.0, 0.0), (11.0, 1.0), (16.0, 8.0), (21.0, 18.0), (30.0, 99.0)]
    assert search(*[(n.at, n.trial, n.epoch, n.score, n.seconds) for n in OURS.epochs], cpu=cpu).busy(2) == 17 / 20  # type: ignore[misc]
    assert OURS.busy(2) is None


def test_summary_is_medians_and_ratios_seed_by_seed() -> None:
    target = common_score([OURS, THEIRS])
    assert target == 0.6
    found = summary([THEIRS], [OURS], target=target, times=[25, 100], slots=2)
    assert (found["seconds to target"], found["ratio"]) == (120, 4.0)
    assert (found["seconds to target without start"], found["ratio without start"]) == (90, 90 / 20)
    assert found["best at"] == {"25": 0.0, "100": 0.5}
    assert (found["best"], found["trials"], found["epochs"], found["busy cores"]) == (0.6, 2, 3, None)


def test_what_was_never_reached_is_none() -> None:
    found = summary([THEIRS, THEIRS, OURS], [OURS, OURS, OURS], target=0.65, times=[], slots=2)
    assert (found["seconds to target"], found["ratio"]) == (None, None)
    json.dumps(found, allow_nan=False)


def test_search_without_an_epoch_has_a_summary() -> None:
    found = summary([search()], [OURS], target=0.5, times=[10], slots=2)
    assert (found["seconds to target"], found["best"], found["training share"]) == (None, 0.0, None)
