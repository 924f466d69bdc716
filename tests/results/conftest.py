"""Builds run folders with real journals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from results.jobs import Job
from results.run_folder import CONFIRMATION, SEARCH, RunFolder
from results.snapshot import RunSnapshot, load_snapshot
from tests.results.journals import ENVIRONMENT, SETTINGS, MakeRun, MakeSnapshot


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(
        search: Sequence[FrozenTrial],
        confirmations: Sequence[FrozenTrial] | None = None,
        jobs: Sequence[Job] = (),
        confirmation_jobs: Sequence[Job] = (),
        **settings: object,
    ) -> RunFolder:
        run = RunFolder.create(tmp_path / "runs" / "demo", SETTINGS | settings, ENVIRONMENT)
        studies = {SEARCH: search} if confirmations is None else {SEARCH: search, CONFIRMATION: confirmations}
        for name, trials in studies.items():
            study = optuna.create_study(study_name=name, storage=run.storage(), direction="maximize")
            study.add_trials(trials)
            for job in jobs if name == SEARCH else confirmation_jobs:
                study.set_user_attr(*job.attribute)
        return run

    return make


@pytest.fixture
def make_snapshot(make_run: MakeRun) -> MakeSnapshot:
    def make(*arguments: Any, **named: Any) -> RunSnapshot:  # noqa: ANN401 - as make_run has them
        return load_snapshot(make_run(*arguments, **named))

    return make
