"""What must be true after each end of a search that was disturbed, and at its last end."""

import signal
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from results.run_folder import REPEATS, RunFolder

CRASHES = ("Traceback (most recent call last)", "StackTrace Information", "terminate called", "core dumped", "(raylet)")
"""Parts of what a program prints that ends otherwise than in one line, or lets Ray print beside it."""

ADVICE = "--resume"

HARMLESS = {
    *("kill-worker", "kill-log-monitor"),
    *("stop-worker", "stop-log-monitor"),
    *("torn-journal", "damaged-checkpoint", "clock-back"),
    *("kill-node-raylet", "stop-node-raylet", "kill-node", "cut-node", "cut-head"),
}
"""Kinds of events after which a search must go on by itself."""


def faults_of_end(run: RunFolder, code: int, output: str, events: Sequence[str], *, is_new: bool) -> list[str]:
    """What is wrong with one end of a search, in words.

    Args:
        run: the run folder.
        code: exit code of the search.
        output: what it printed since its start.
        events: kinds of the events since its start.
        is_new: whether it was a new search, not a resumed one.
    """
    last = output.strip().splitlines()[-1] if output.strip() else ""
    told = [f"it printed {crash!r}" for crash in CRASHES if crash in output]
    if code and HARMLESS.issuperset(events):
        told.append(f"exit code {code}, but it should go on by itself: {last}")
    if code not in _accepted(events):
        told.append(f"exit code {code}: {last}")
    if code == 2 and not last.startswith("error: "):
        told.append(f"exit code 2 without a line that begins with 'error:': {last}")
    if code == 2 and is_new and run.journal.exists() and ADVICE not in last:
        told.append(f"it does not say how to go on: {last}")
    if (
        code == 128 + signal.SIGTERM
        and ADVICE in last
        and not {"power-cut", "full-disk"}.intersection(events)
        and not run.report_page.exists()
    ):
        told.append("SIGTERM left no report")
    return told


def _accepted(events: Sequence[str]) -> set[int]:
    codes = {0, 2}
    if {"kill-search", "kill-head"}.intersection(events):
        codes.add(-signal.SIGKILL)
    if "terminate-search" in events:
        codes |= {128 + signal.SIGTERM, -signal.SIGTERM}  # the latter while Python starts
    return codes


def faults_of_search(
    run: RunFolder, found: Sequence[FrozenTrial], trials: int, expected: Sequence[FrozenTrial] | None
) -> list[str]:
    """What is wrong with a search that has ended with exit code 0, in words.

    Args:
        run: the run folder.
        found: its trials without rejected duplicates.
        trials: number of trials that it was to run.
        expected: trials of a search that was left alone; None if several trials ran at once, which may then differ. If
            trials failed and were run again, only the first are compared, up to the first that failed.
    """
    again = {trial.user_attrs[REPEATS] for trial in found if REPEATS in trial.user_attrs}
    told = [f"no {path.name}" for path in (run.report_page, run.trials_csv, run.best_file) if not path.is_file()]
    told += [
        f"trial {trial.number} has not ended: {trial.state.name}" for trial in found if not trial.state.is_finished()
    ]
    failed = [trial.number for trial in found if trial.state == TrialState.FAIL]
    told += [f"trial {number} failed and was not run again" for number in failed if number not in again]
    if (count := len(found) - len(again)) != trials:
        told.append(f"{count} trials, expected {trials}")
    if expected is not None:
        same = min([*failed, len(found)])
        told += differences(expected[:same] if failed else expected, found[:same] if failed else found)
    return told


def differences(expected: Sequence[FrozenTrial], found: Sequence[FrozenTrial]) -> list[str]:
    """All differences between the trials of two searches, each in words."""
    told = [] if len(expected) == len(found) else [f"{len(found)} trials, expected {len(expected)}"]
    for one, other in zip(expected, found, strict=False):
        for what in ("params", "intermediate_values", "state", "value"):
            if getattr(one, what) != getattr(other, what):
                told.append(f"trial {one.number}: {what} {getattr(other, what)}, expected {getattr(one, what)}")
    return told
