"""Of trials with equal scores, everything that names the best trial names the same one."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from rich.console import Console

from results.ranking import best_trial
from results.run_folder import SEARCH, RunFolder
from tests.tuning.studies import ask, searching
from tuning.execution.checkpoint_files import CheckpointFiles
from tuning.execution.checkpoints import OldCheckpoints, checkpoint_folder
from tuning.monitoring import notifications
from tuning.monitoring.notifications import Notifier
from tuning.monitoring.progress import progress_of, show_progress
from tuning.study.live_trial import Epoch


def test_of_equal_scores_the_lower_number_is_best_everywhere_although_it_ends_later(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(fixed={"epochs": 1}, metric="accuracy", pruner="none")
    study = searching(run, trials=3)
    folder = checkpoint_folder(run, SEARCH)
    old_checkpoints, lines = OldCheckpoints(CheckpointFiles(folder), study, keep=1), io.StringIO()
    posts: list[dict[str, object]] = []

    def keep(_: str, headers: Mapping[str, str], line: bytes) -> None:
        del headers
        posts.append(json.loads(line))

    monkeypatch.setattr(notifications, "_send", keep)
    with show_progress(study, "searching", Console(file=lines, width=120)), Notifier("http://host/", run) as notifier:
        (callback,) = notifier.callbacks(study)
        baseline, first, second = (ask(study).trial.number for _ in range(3))
        for number, score in ((baseline, 0.25), (second, 0.5), (first, 0.5)):
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, f"trial-{number:04d}.pt").touch()
            study.report(number, Epoch(1, score, 1.0))
            study.finish(number)
            old_checkpoints.delete()
            callback.on_trial_complete(0, [], None)  # type: ignore[arg-type]
        notifier.notify_end(0)

    assert first < second
    in_journal = best_trial(run.study().trials)
    assert in_journal is not None
    assert in_journal.number == first
    for seen in (study.best, searching(run, trials=3).best, progress_of(study, 1.0).best):
        assert seen is not None
        assert seen.number == first
    assert f"best 50.00% (trial {first})" in lines.getvalue().splitlines()[-1]
    assert [(post["event"], post["trial"]) for post in posts] == [
        ("best", baseline),
        ("best", second),
        ("best", first),
        ("end", first),
    ]
    assert [path.name for path in Path(folder).iterdir()] == [f"trial-{first:04d}.pt"]
