import io
import sys
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from results.jobs import Job
from results.run_folder import CONFIRMS, RunFolder
from san_core.command_line import print_message
from tests.tuning.studies import ask, searching
from tuning.monitoring.progress import progress_of, show_progress
from tuning.study.live_trial import Epoch
from tuning.study.study import Study


@pytest.fixture
def study(make_run: Callable[..., RunFolder]) -> Study:
    return searching(make_run(fixed={"epochs": 2}), trials=4)


def end_trial(study: Study, scores: list[float], error: str = "") -> None:
    number = ask(study).trial.number
    for epoch, score in enumerate(scores, start=1):
        study.report(number, Epoch(epoch, score, 1.0))
    study.finish(number, error)


def test_how_far_a_study_is(study: Study) -> None:
    end_trial(study, [0.5, 0.6])
    end_trial(study, [0.7, 0.9])
    running = ask(study).trial.number
    study.report(running, Epoch(1, 0.8, 1.0))

    now = progress_of(study, elapsed=60.0)
    assert [trial.number for trial in now.ended] == [0, 1]
    assert now.running == [("trial   2", 1, 0.8)]
    assert now.best is not None
    assert now.best.number == 1
    assert now.baseline == 0.6
    assert now.seconds_left == 60.0  # two trials took 60 s, two are left


def test_trials_of_an_earlier_start_do_not_count_for_the_time_left(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(fixed={"epochs": 2})
    first = searching(run, trials=2)
    for _ in range(2):
        end_trial(first, [0.5, 0.6])
    study = searching(run, trials=6)
    end_trial(study, [0.5, 0.6])
    assert progress_of(study, elapsed=30.0).seconds_left == 90.0  # one trial took 30 s, three are left


def test_before_the_first_trial_nothing_is_known(study: Study) -> None:
    now = progress_of(study, elapsed=1.0)
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


class Terminal(io.StringIO):
    """What a terminal that can redraw was sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, width: int = 100, height: int = 30) -> None:
        super().__init__()
        monkeypatch.setenv("TERM", "xterm")
        self.console = Console(file=self, force_terminal=True, width=width, height=height, color_system=None)

    def frame_with(self, text: str) -> list[str]:
        """The lines of the next frame, which is to hold a text."""
        begin, until = len(self.getvalue()), time.monotonic() + 600
        while time.monotonic() < until:
            frames = self.getvalue()[begin:].split("\x1b[H")[1:-1]  # the last may not be whole
            for frame in frames:
                if text in frame:
                    return [line.rstrip() for line in frame.splitlines()]
            time.sleep(0.05)
        pytest.fail(f"{text!r} is not in {self.getvalue()!r}")

    def left(self) -> str:
        """What stays when the screen is gone."""
        return self.getvalue().rpartition("\x1b[?1049l")[2]


def test_the_live_screen_shows_running_and_ended_trials(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    with show_progress(study, "searching", terminal.console, metric="WUPS@0.9"):
        end_trial(study, [0.5, 0.6])
        ask(study)
        frame = terminal.frame_with("1 running")
    assert frame[0] == "searching"
    assert "1 of 4 ended: 1 complete; 1 running" in frame[1]
    assert frame[2] == "best 60.00% (trial 0), baseline 60.00%"
    assert frame[3].split() == ["state", "epochs", "WUPS@0.9"]
    assert frame[4].split() == ["trial", "1", "running", "0", "–"]
    assert frame[5].split() == ["trial", "0", "complete", "2", "60.00%"]


def test_after_the_live_screen_the_progress_and_the_messages_are_printed(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(monkeypatch, width=60)
    warning = "warning: [the tracker] " + "is out of reach " * 4
    with show_progress(study, "searching", terminal.console):
        end_trial(study, [0.5, 0.6])
        print_message(warning)
        assert "warning: [the tracker]" in "".join(terminal.frame_with("warning:"))
    lines = terminal.left().splitlines()
    assert lines[0] == "searching"
    assert lines[1:] == [lines[1], "best 60.00% (trial 0), baseline 60.00%", warning]
    assert "1 of 4 ended: 1 complete, about" in lines[1]


def test_a_diverged_trial_is_counted_as_one_and_is_never_the_best(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(monkeypatch)
    with show_progress(study, "searching", terminal.console):
        number = ask(study).trial.number
        study.report(number, Epoch(1, 0.5, 1.0, diverged="the loss is nan"))
        study.finish(number)
        frame = terminal.frame_with("1 diverged")
    assert "1 of 4 ended: 1 diverged" in frame[1]
    assert "complete," not in frame[1]
    assert frame[2].startswith("no complete trial yet")


def test_trials_that_do_not_fit_the_screen_are_counted(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = searching(make_run(fixed={"epochs": 2}), trials=20)
    terminal = Terminal(monkeypatch, width=60, height=8)
    with show_progress(study, "searching " + "words " * 12, terminal.console):
        for _ in range(9):
            ask(study)
        frame = terminal.frame_with("more running")
    assert len(frame) == 8
    assert [line.split()[:2] for line in frame[5:7]] == [["trial", "0"], ["trial", "1"]]
    assert frame[7] == "… 7 more running"


def start_job(study: Study, number: int, count: int, last: int) -> Job:
    """Starts a job of so many new trials, as the cohorts of a study do."""
    trials = tuple(ask(study).trial.number for _ in range(count))
    study.jobs[number] = Job(number, trials, 0, last, due=last)
    study.on_change()
    return study.jobs[number]


def end_job(study: Study, job: Job, stop: dict[int, str]) -> None:
    """Ends a job: finishes those of its trials that are told to stop or have all epochs."""
    for number in job.trials:
        study.live[number].stop_reason = stop.get(number, "")
        if number in stop or len(study.live[number].scores) == study.epochs:
            study.finish(number)
    del study.jobs[job.number]
    study.on_change()


@pytest.fixture
def cohorts(make_run: Callable[..., RunFolder]) -> Study:
    """A study of 40 trials of two epochs each."""
    return searching(make_run(fixed={"epochs": 2}), trials=40)


def test_trials_that_the_end_of_a_job_stops_share_a_line(cohorts: Study) -> None:
    study, out = cohorts, io.StringIO()
    with show_progress(study, "searching", Console(file=out, force_terminal=False, width=80)):
        first = start_job(study, 3, 4, last=1)
        for number in first.trials:
            study.report(number, Epoch(1, 0.5 + number / 100, 1.0, diverged="the loss is nan" if number == 3 else ""))
        assert len(out.getvalue().splitlines()) == 1  # a trial that is stopped has not ended yet
        end_job(study, first, {2: "pruned after epoch 1", 3: study.live[3].stop_reason})
        study.jobs[4] = Job(4, (0, 1), 1, 2, due=2)
        study.on_change()
        study.report(0, Epoch(2, 0.75, 2.0))
        study.report(1, Epoch(2, 0.625, 2.0))
        end_job(study, study.jobs[4], {})
    lines = [line.partition("  ")[2] for line in out.getvalue().splitlines()[1:]]
    assert lines[0].startswith(
        "cohort 3 after epoch 1: 2 of 4 go on, 1 pruned, 1 diverged (best 52.00%) | no best yet, baseline 50.00% | "
        "2 of 40 ended, about "
    )
    assert [line.partition(" | ")[0] for line in lines[1:]] == [
        "trial   0 complete: 75.00%",
        "trial   1 complete: 62.50%",
    ]


def test_a_job_after_which_all_trials_go_on_is_a_line_too(cohorts: Study) -> None:
    study, out = cohorts, io.StringIO()
    with show_progress(study, "searching", Console(file=out, force_terminal=False, width=80)):
        job = start_job(study, 0, 2, last=1)
        for number in job.trials:
            study.report(number, Epoch(1, 0.5, 1.0))
        end_job(study, job, {})
    assert "cohort 0 after epoch 1: 2 of 2 go on (best 50.00%) | " in out.getvalue()


def test_a_trial_of_a_job_that_fails_is_a_line_of_its_own(cohorts: Study) -> None:
    study, out = cohorts, io.StringIO()
    with show_progress(study, "searching", Console(file=out, force_terminal=False, width=80)):
        start_job(study, 0, 2, last=1)
        study.finish(0, "the worker process died")
        assert "trial   0 the worker process died: – | " in out.getvalue()


def test_of_interrupted_jobs_only_those_that_stopped_trials_are_a_line(cohorts: Study) -> None:
    study, out = cohorts, io.StringIO()
    with show_progress(study, "searching", Console(file=out, force_terminal=False, width=80)):
        start_job(study, 0, 2, last=1)
        start_job(study, 1, 2, last=1)
        study.report(0, Epoch(1, 0.5, 1.0))
        study.live[0].stop_reason = "stopped after epoch 1: budget used up"
        study.finish(0)
        assert len(out.getvalue().splitlines()) == 1
    _, line = out.getvalue().splitlines()
    assert "cohort 0 after epoch 1: 1 of 2 go on, 1 pruned (best 50.00%)" in line


def test_the_live_screen_has_a_row_for_each_running_job(cohorts: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study, terminal = cohorts, Terminal(monkeypatch)
    with show_progress(study, "searching", terminal.console):
        first = start_job(study, 0, 3, last=1)
        for number in first.trials:
            study.report(number, Epoch(1, 0.5 + number / 100, 1.0))
        end_job(study, first, {0: "pruned after epoch 1"})
        frame = terminal.frame_with("0 cohorts running, 2 trials waiting")
        assert [line.split()[:2] for line in frame[4:6]] == [["trial", "0"], []]
        start_job(study, 1, 16, last=1)
        study.jobs[2] = Job(2, (1, 2), 1, 2, due=2)
        study.on_change()
        frame = terminal.frame_with("2 cohorts running")
    assert "1 of 40 ended: 1 pruned; 2 cohorts running, about" in frame[1]
    assert frame[4].split() == ["cohort", "1:", "trials", "3-18", "running", "0", "–"]
    assert frame[5].split() == ["cohort", "2:", "trials", "1-2", "running", "1", "52.00%"]
    assert frame[6].split()[:3] == ["trial", "0", "pruned"]


def test_a_job_of_fresh_seeds_names_the_trials_that_it_repeats(cohorts: Study) -> None:
    start_job(cohorts, 0, 3, last=2)
    for number, repeated in enumerate((7, 7, 0)):
        cohorts.live[number].trial.set_user_attr(CONFIRMS, repeated)
    assert progress_of(cohorts, 1.0).running == [("cohort 0: repeats of trials 0, 7", 0, None)]


class _TerminalOutput(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stdout", [_TerminalOutput(), io.StringIO()], ids=["terminal", "file"])
def test_what_a_program_prints_meanwhile_is_not_lost(
    study: Study, stdout: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", stdout)
    with show_progress(study, "searching", Console(file=io.StringIO(), force_terminal=True, width=80)):
        sys.stdout.write("of another thread\n")
        assert stdout.getvalue() == ("" if stdout.isatty() else "of another thread\n")  # it would tear the screen
    assert stdout.getvalue() == "of another thread\n"
