"""A search whose Ray cannot start ends in one line, and leaves nothing that would keep the next one from its name."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import ray

from results.run_folder import RunFolder
from san_core.data.prepared import PreparedData
from tests.tuning.commands import PATIENCE
from tuning import search
from tuning.execution import local_ray

Command = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def start(run_here: Command, tiny_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """start(): a search called `run` in an empty folder, which must end with exit code 2."""
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    monkeypatch.setenv("HOME", str(tmp_path))

    def start(*arguments: str) -> CompletedProcess[str]:
        given = arguments or ("--data", str(tiny_data.folder), "--run", "run", "--no-dashboard")
        ended = run_here(search.main, *given)
        assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
        return ended

    return start


def _fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def init(**_: object) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Failed to start GCS.\n Last 1 lines of error files:\n thread: Resource temporarily unavailable"),
        PermissionError(13, "Permission denied", "/tmp/ray/session"),
        OSError(28, "No space left on device"),
        Exception("something else"),
    ],
)
def test_a_search_that_never_began_leaves_no_run_folder(
    start: Command, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    _fail(monkeypatch, error)
    for _ in range(2):  # the same command again is not told that the folder exists
        lines = start().stderr.splitlines()
        assert lines[-1].startswith(f"error: Ray did not start: {' '.join(str(error).split())}; ")
        assert "Traceback" not in "".join(lines)
        assert not list(Path("runs").iterdir())


def test_a_resumed_search_keeps_its_folder_if_ray_does_not_start(
    start: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail(monkeypatch, RuntimeError("no"))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if the search had been killed before it began
        start()
    before = RunFolder(Path("runs/run")).settings
    assert (
        start("--resume", "run", "--no-dashboard").stderr.splitlines()[-1].startswith("error: Ray did not start: no; ")
    )
    assert RunFolder(Path("runs/run")).settings == before


def test_a_folder_for_ray_that_cannot_be_made_is_told_before_anything_is_written(
    start: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/dev/null")
    assert start().stderr == (
        "error: RAY_TMPDIR is /dev/null, but Ray cannot write /dev/null/ray: Not a directory; accepted: a folder that "
        "you can write, or no RAY_TMPDIR, for /tmp\n"
    )
    assert not Path("runs").exists()


def test_too_few_processes_are_told_before_anything_is_written(start: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = "the user's limit of processes (ulimit -u) is 200"
    monkeypatch.setattr(local_ray, "free_processes", lambda: (150, limit))
    (line,) = start().stderr.splitlines()
    assert line.startswith(f"error: too few processes may be started: {limit}, which leaves 150, ")
    assert "raise the limit" in line
    assert not Path("runs").exists()


KILLED_WHILE_IT_STARTS = """
import sys
from ray._private.node import Node
from san_core.command_line import run_command
from tuning import search

killed, after = sys.argv.pop(1), sys.argv.pop(1)
start = getattr(Node, after)

def start_and_kill(node, *given, **named):
    start(node, *given, **named)
    node.all_processes[killed][0].process.kill()
    node.all_processes[killed][0].process.wait()

setattr(Node, after, start_and_kill)
run_command(search.main)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("killed", "after"),
    [
        ("gcs_server", "start_gcs_server"),
        ("gcs_server", "__init__"),
        ("raylet", "start_raylet"),
        ("raylet", "__init__"),
    ],
)
def test_a_process_that_dies_while_ray_starts_is_told_in_one_line(
    killed: str, after: str, tiny_data: PreparedData, tmp_path: Path
) -> None:
    arguments = [killed, after, "--data", str(tiny_data.folder), "--run", "run", "--no-dashboard"]
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(search.__file__).parents[1])}
    command = [sys.executable, "-c", KILLED_WHILE_IT_STARTS, *arguments]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert ended.stderr.endswith(f"\nerror: Ray did not start: its {killed} process died\n")
    assert "Traceback" not in ended.stderr
    assert not list((tmp_path / "runs").iterdir())
