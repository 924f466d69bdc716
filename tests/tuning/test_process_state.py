"""What imports, a search, a retraining and a question leave of the process they run in: all as it was."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from san_core.data.prepared import PreparedData
from tests.tuning.commands import PATIENCE


def _run(folder: Path, *words: str) -> tuple[list[str], dict[str, Any]]:
    """The lines that a program prints before its result, and the result."""
    ended = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, ended.stderr
    *lines, result = ended.stdout.splitlines()
    return lines, json.loads(result)


def test_imports_change_nothing(tmp_path: Path) -> None:
    lines, changed = _run(tmp_path, "tests.tuning.process_state")
    assert lines == []
    assert changed == {}


@pytest.mark.rare
@pytest.mark.long
def test_a_program_finds_everything_as_it_was(tiny_data: PreparedData, tmp_path: Path) -> None:
    lines, told = _run(tmp_path, "tests.tuning.program", str(tiny_data.folder))
    for what in ("search", "retrain", "ask", "prepare", "train_fn"):
        assert told[f"changed by {what}"] == {}
    assert lines == [f"line {number}" for number in range(told["lines"])]  # none is lost
    assert told["lines"] > 0
    assert told["heard"] == [10, 15]  # its own handlers of SIGUSR1 and SIGTERM are called, and the search goes on
    assert len(told["trials"]) == 3
    assert told["answers"] > 0
    died = "Ray's gcs_server process on this machine died; "
    (of_search, after_search, of_retraining, after_retraining) = told["ended"]
    assert of_search.startswith(f"{died}what was recorded is safe; ")
    assert of_retraining == f"{died}no model folder was written"
    assert after_search == after_retraining == "finally"
    assert not told["ray is left"]
    assert told["trials again"] == 1
