import io
from collections.abc import Callable

import pytest
from rich.console import Console
from studies import ask, searching

from tuning.progress import show_progress, standing
from tuning.run_folder import RunFolder
from tuning.study import Epoch, Study


@pytest.fixture
def study(make_run: Callable[..., RunFolder]) -> Study:
    return searching(make_run(fixed={"epochs": 2}), trials=4)


def end_trial(study: Study, scores: list[float], error: str = "") -> None:
    number = ask(study).trial.number
    for epoch, score in enumerate(scores, start=1):
        study.report(number, Epoch(epoch, score, 1.0))
    study.finish(number, error)


def test_where_a_study_stands(study: Study) -> None:
    end_trial(study, [0.5, 0.6])
    end_trial(study, [0.7, 0.9])
    running = ask(study).trial.number
    study.report(running, Epoch(1, 0.8, 1.0))

    now = standing(study, elapsed=60.0)
    assert [trial.number for trial in now.ended] == [0, 1]
    assert now.running == [("trial   2", 1, 0.8)]
    assert now.best is not None
    assert now.best.number == 1
    assert now.baseline == 0.6
    assert now.seconds_left == 60.0  # two trials took 60 s, two are left


def test_before_the_first_trial_nothing_is_known(study: Study) -> None:
    now = standing(study, elapsed=1.0)
    assert (now.ended, now.running, now.best, now.baseline, now.seconds_left) == ([], [], None, None, None)


def test_without_a_terminal_every_ended_trial_is_one_line(study: Study) -> None:
    out = io.StringIO()
    with show_progress(study, "searching", Console(file=out, force_terminal=False, width=80)):
        end_trial(study, [0.5, 0.6])
        end_trial(study, [0.7], error="the worker process died")
    lines = out.getvalue().splitlines()
    assert lines[0] == "searching"
    assert "trial   0 complete: 60.00% | best 60.00% (trial 0), baseline 60.00% | 1 of 4 ended" in lines[1]
    assert "trial   1 the worker process died: 70.00%" in lines[2]
    assert len(lines) == 3


def test_in_a_terminal_that_cannot_redraw_every_ended_trial_is_one_line(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = io.StringIO()
    with show_progress(study, "searching", Console(file=out, force_terminal=True, width=80)):
        end_trial(study, [0.5, 0.6])
    assert "trial   0 complete: 60.00%" in out.getvalue()


def test_in_a_terminal_one_screen_shows_all(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    with show_progress(study, "searching", Console(file=out, force_terminal=True, width=100, height=30)):
        end_trial(study, [0.5, 0.6])
        ask(study)
    text = out.getvalue()
    assert "1 of 4 ended: 1 complete, 0 pruned, 0 failed; 1 running" in text
    assert "best 60.00% (trial 0), baseline 60.00%" in text
    assert "accuracy" in text


def test_the_screen_calls_the_score_by_its_metric(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=30)
    with show_progress(study, "searching", console, metric="WUPS@0.9"):
        end_trial(study, [0.5, 0.6])
    assert "WUPS@0.9" in out.getvalue()
    assert "accuracy" not in out.getvalue()
