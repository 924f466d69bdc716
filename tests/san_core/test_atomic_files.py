import os
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import save_file

from san_core import files
from san_core.files import make_folder, name_folder, write_atomically, write_json


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of fsync, rename and replace, in order."""
    told: list[str] = []

    def record(name: str, target: object) -> None:
        told.append(f"{name} {Path(str(target)).name}")

    for name in ("replace", "rename"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda a, b, name=name, real=real: (record(name, b), real(a, b)))
    monkeypatch.setattr(os, "fsync", lambda fd: record("sync", Path(f"/proc/self/fd/{fd}").readlink()))
    return told


def test_a_file_is_synced_then_named_then_its_folder_is_synced(tmp_path: Path, calls: list[str]) -> None:
    folder = tmp_path / "folder"
    make_folder(folder)
    write_json(folder / "a.json", {"a": 1})
    assert calls == [f"sync {tmp_path.name}", "sync .a.json.partial", "replace a.json", "sync folder"]


def test_a_folder_is_named_after_all_in_it_is_synced(tmp_path: Path, calls: list[str]) -> None:
    (tmp_path / ".new" / "below").mkdir(parents=True)
    (tmp_path / ".new" / "below" / "a").touch()
    name_folder(tmp_path / ".new", tmp_path / "new")
    assert set(calls[:3]) == {"sync below", "sync a", "sync .new"}
    assert calls[3:] == ["rename new", f"sync {tmp_path.name}"]


def test_each_folder_that_is_made_is_synced(tmp_path: Path, calls: list[str]) -> None:
    make_folder(tmp_path / "a" / "b")
    assert set(calls) == {"sync a", f"sync {tmp_path.name}"}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def fail(partial: Path) -> NoReturn:
        partial.write_text("half")
        raise OSError(28, "No space left on device")

    (tmp_path / "file").write_text("old")
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "file", fail)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "old"}


def test_a_disk_that_fails_is_not_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> NoReturn:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        files.sync_folder(tmp_path)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_file_has_the_mode_of_the_umask_whoever_writes_it(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", {"a": 1})
        write_atomically(tmp_path / "b.safetensors", lambda partial: save_file({"b": torch.zeros(2)}, partial))
    finally:
        os.umask(before)
    assert [oct(path.stat().st_mode & 0o777) for path in sorted(tmp_path.iterdir())] == [oct(mode)] * 2
