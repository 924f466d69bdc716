"""Prepared data at a URI: file:// through the real processes; other file systems are pyarrow's own test one."""

import filecmp
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow import fs

from san_core.data.prepared import FORMAT, PreparedData
from san_core.errors import InputError
from tests.tuning.commands import PATIENCE
from tuning.execution import remote_copy, remote_data
from tuning.execution.data_cache import cache_folder
from tuning.execution.remote_data import check_uri, data_at, last_name


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAN_DATA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tiny_data: PreparedData, tmp_path: Path) -> Path:
    """A copy of the data that a test may change."""
    return shutil.copytree(tiny_data.folder, tmp_path / "source")


def test_data_at_a_uri_are_copied_once(
    source: Path, tiny_data: PreparedData, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "runs").mkdir()
    (source / "runs" / "other").touch()
    (source / ".hidden").touch()
    data = data_at(source.as_uri())
    assert data.folder == cache_folder() / tiny_data.fingerprint
    names = sorted(path.name for path in tiny_data.folder.iterdir())
    assert sorted(path.name for path in data.folder.iterdir()) == names
    assert filecmp.cmpfiles(tiny_data.folder, data.folder, names, shallow=False) == (names, [], [])
    assert f"copying the data at {source.as_uri()} to {cache_folder()}" in capsys.readouterr().err
    made = data.folder.stat().st_ino
    assert data_at(f"{source.as_uri()}/").folder.stat().st_ino == made
    assert capsys.readouterr().err == ""
    shutil.rmtree(source)
    assert data_at(source.as_uri(), tiny_data.fingerprint).folder.stat().st_ino == made


def test_how_far_a_copy_is_is_told(source: Path, tiny_data: PreparedData) -> None:
    told: list[tuple[int, int]] = []
    data_at(source.as_uri(), tiny_data.fingerprint, lambda copied, size: told.append((copied, size)))
    size = sum(path.stat().st_size for path in source.iterdir())
    assert told[-1] == (size, size)


def _truncate(source: Path) -> None:
    features = source / "features.npy"
    features.write_bytes(features.read_bytes()[:-1000])


def _manifest(**changes: object) -> Callable[[Path], None]:
    def change(source: Path) -> None:
        path = source / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"Cannot list directory '.*/source'$"),
        (
            lambda source: (source / "manifest.json").unlink(),
            r"there is no manifest\.json; accepted: a folder written by ",
        ),
        (lambda source: (source / "manifest.json").write_text("[]"), r"their manifest\.json is damaged"),
        (_manifest(format=FORMAT - 1), rf"they have format {FORMAT - 1}, accepted: {FORMAT}; prepare the data again$"),
        (_manifest(fingerprint="../../evil"), r"their manifest\.json is damaged: its fingerprint is '\.\./\.\./evil'$"),
        (lambda source: (source / "train.npz").unlink(), r"file://.*/source is damaged: it lacks train\.npz; "),
        (_truncate, r"file://.*/source/features\.npy is damaged \("),
    ],
)
def test_data_that_cannot_be_used_are_refused_in_one_line(
    source: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(source)
    with pytest.raises(InputError, match=rf"^the data at file://.*/source cannot be used: {message}") as refused:
        data_at(source.as_uri())
    assert "\n" not in str(refused.value)
    assert [path.name for path in cache_folder().iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "gopher://there/x",
            r"Unrecognized filesystem type in URI: gopher://there/x; accepted: s3://BUCKET/FOLDER, or ",
        ),
        ("mock://there", r"there is no manifest\.json; "),
        ("s3://me:secret@bucket/x", r"--data s3://\.\.\. has a password, which would be recorded"),
        ("file:///a b", r"--data 'file:///a b' is not a URI, since it has spaces; accepted: %20 in their place$"),
    ],
)
def test_a_uri_that_names_nothing_is_refused_in_one_line(uri: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        data_at(uri)
    assert "secret" not in str(refused.value)


def test_a_library_that_ends_its_process_is_told_of_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("sh"))
    monkeypatch.setattr(subprocess, "Popen", _instead("echo two >&2; echo lines >&2; kill -ABRT $$"))
    with pytest.raises(InputError, match=r"the library of this file system has crashed \(signal 6\): two lines"):
        data_at("s3://bucket/x")


def test_a_file_system_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_data, "SECONDS_TO_ANSWER", 0.1)
    monkeypatch.setattr(subprocess, "Popen", _instead("exec sleep 1000"))
    with pytest.raises(InputError, match=r"the data at gs://bucket/x cannot be used: no answer in 0\.1 s"):
        data_at("gs://bucket/x")


def _instead(script: str) -> Callable[..., subprocess.Popen[str]]:
    """Starts a script in the place of any program."""
    start = subprocess.Popen
    return lambda _, **options: start(["sh", "-c", script], **options)


def test_too_little_room_is_told_before_anything_is_copied(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"they have 1 MiB, but .*/cache has 0 MiB free; accepted: more room, or "):
        data_at(source.as_uri())
    assert not list(cache_folder().glob(".*.partial"))


def test_a_cache_that_cannot_be_written_is_told_of(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAN_DATA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        InputError, match=r"the data at .* cannot be used: \[Errno 20\] Not a directory: '.*/file/cache'"
    ):
        data_at(source.as_uri())


def test_other_data_than_a_search_ran_on_are_not_copied(source: Path) -> None:
    with pytest.raises(InputError, match=r"they have fingerprint \w+, but 0123456789abcdef is needed; "):
        data_at(source.as_uri(), "0123456789abcdef")
    assert not cache_folder().exists() or not list(cache_folder().iterdir())


def test_what_a_death_has_left_and_a_damaged_copy_are_copied_anew(source: Path, tiny_data: PreparedData) -> None:
    partial, copy = (cache_folder() / name for name in (f".{tiny_data.fingerprint}.partial", tiny_data.fingerprint))
    shutil.copytree(source, copy)
    _truncate(copy)
    partial.mkdir()
    (partial / "features.npy").write_bytes(b"half")
    data_at(source.as_uri(), tiny_data.fingerprint).check()
    assert not partial.exists()


def test_of_two_searches_at_once_one_copies_and_the_other_waits(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, copies, folders = remote_data._copy, [], []

    def slow_copy(*arguments: object) -> None:
        copies.append(arguments)
        while "waiting for another process, which copies the data to " not in capsys.readouterr().err:
            time.sleep(0.1)
        copy(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(remote_data, "_copy", slow_copy)
    threads = [threading.Thread(target=lambda: folders.append(data_at(source.as_uri()).folder)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(copies) == 1
    assert len(folders) == 2


def test_a_copy_ends_with_the_process_that_wants_it(tmp_path: Path) -> None:
    source, folder = tmp_path / "large", tmp_path / "copy"
    source.mkdir()
    folder.mkdir()
    (source / "features.npy").write_bytes(bytes(10**6))
    byte_by_byte = "from tuning.execution import remote_copy as r; r.PIECE = 1; r.main()"
    arguments = [sys.executable, "-c", byte_by_byte, source.as_uri(), str(folder)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as process:
        while not list(folder.iterdir()):
            assert process.poll() is None
            time.sleep(0.05)
        assert process.stdin
        process.stdin.close()
        assert process.wait(PATIENCE) == 1


@pytest.fixture
def remote() -> fs.FileSystem:
    """A file system in memory, with a folder."""
    system, _ = fs.FileSystem.from_uri("mock://")
    system.create_dir("bucket/folder/runs")
    with system.open_output_stream("bucket/folder/a.npy") as file:
        file.write(bytes(range(256)) * 10)
    with system.open_output_stream("bucket/folder/empty.txt"):
        pass
    return system


def test_files_come_in_pieces_in_their_order(
    remote: fs.FileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_copy, "PIECE", 100)
    assert remote_copy.list_files(remote, "bucket/folder") == {"a.npy": 2560, "empty.txt": 0}
    remote_copy.copy_files(remote, "bucket/folder", tmp_path)
    assert (tmp_path / "a.npy").read_bytes() == bytes(range(256)) * 10
    assert (tmp_path / "empty.txt").read_bytes() == b""
    with pytest.raises(FileExistsError):  # of another process that has not ended yet
        remote_copy.copy_files(remote, "bucket/folder", tmp_path)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://bucket/data/mine?region=eu-west-1", "mine"),
        ("gs://bucket/mine/", "mine"),
        ("s3://bucket", "bucket"),
        ("abfs://container@account.dfs.core.windows.net/mine", "mine"),
    ],
)
def test_a_run_is_called_after_the_last_folder(uri: str, name: str) -> None:
    check_uri(uri)
    assert last_name(uri) == name
