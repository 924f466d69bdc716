"""Run folders on file systems without symbolic links or locks: FAT, SMB, Google Drive."""

import errno
import fcntl
import os
from pathlib import Path
from typing import NoReturn

import optuna
import pytest

from results.run_folder import RETRAINING, SEARCH, RunFolder
from san_core.errors import InputError


def _refuse(*_: object, **__: object) -> NoReturn:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_a_journal_needs_no_symbolic_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.create(tmp_path / "run", {}, {})
    monkeypatch.setattr(os, "symlink", _refuse)
    monkeypatch.setattr(os, "link", _refuse)
    with run.lock_for(SEARCH):
        study = optuna.create_study(study_name=SEARCH, storage=run.storage())
        study.add_trial(optuna.trial.create_trial(value=0.5))
    assert [trial.value for trial in run.study().trials] == [0.5]
    assert sorted(path.name for path in run.path.iterdir()) == [
        ".lock",
        "environment.json",
        "journal.log",
        "settings.json",
    ]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL])
def test_a_folder_is_locked_on_a_file_system_without_locks(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(_: int, __: int) -> NoReturn:
        raise OSError(code, os.strerror(code))

    run = RunFolder.create(tmp_path / "run", {}, {})
    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):  # it is free again
        with run.lock_for(SEARCH):
            with (
                pytest.raises(InputError, match="another search is running in .*; wait for it to end"),
                run.lock_for(SEARCH),
            ):
                pass
            with run.lock_for(RETRAINING):
                pass


def test_folders_that_cannot_be_synced_are_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert RunFolder.create(tmp_path / "runs" / "run", {"trials": 3}, {}).settings == {"trials": 3}
