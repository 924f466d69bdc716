"""The results of a search cannot be written, since the disk is full."""

import errno
from pathlib import Path

import pytest

from results.report import files
from results.run_folder import RunFolder
from results.snapshot import load_snapshot
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from tests.tuning.finished import finished_search
from tuning import search
from tuning.monitoring.notifications import Notifier


@pytest.fixture
def run(
    tmp_path: Path, tiny_data: PreparedData, tiny_config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> RunFolder:
    """A run folder on a full disk."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_atomically", fail)
    return finished_search(tmp_path / "run", tiny_data, tiny_config)


def test_the_line_says_how_the_search_goes_on(run: RunFolder) -> None:
    with pytest.raises(InputError, match=f"{run.trials_csv}: .*No space left.*--resume {run.path} to go on"):
        search._write_results(load_snapshot(run))


def test_an_interrupted_search_ends_as_interrupted(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), search._report_early_end(run, Notifier(None, run)):
        raise KeyboardInterrupt
    no_report, interrupted = capsys.readouterr().err.splitlines()
    assert no_report.startswith(f"no report: cannot write {run.trials_csv}: ")
    assert interrupted.startswith("interrupted; to go on: ")
