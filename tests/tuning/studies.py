"""Searches driven by hand, without Ray."""

from typing import Any

from results.run_folder import RunFolder
from search_spaces import SearchSpace, load
from tuning.study.first_trials import first_trials
from tuning.study.live_trial import LiveTrial
from tuning.study.open_study import open_search
from tuning.study.stop_rules import StopRules
from tuning.study.study import Study

EPOCHS = 4


def ask(study: Study) -> LiveTrial:
    """The next trial of a study that has one."""
    live = study.ask()
    assert live is not None
    return live


def searching(
    run: RunFolder,
    trials: int | None = 6,
    space: SearchSpace | None = None,
    **rules: Any,  # noqa: ANN401
) -> Study:
    """The search of a run, as a new or a resumed search opens it."""
    space = space or load("san")
    return open_search(
        run, space, StopRules(trials=trials, **rules), first_trials=lambda: first_trials(space.baseline, [])
    )
