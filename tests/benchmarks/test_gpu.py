import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.curves import LoggedEpoch, Search
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import epochs, parts, steps
from benchmarks.gpu.packed import packed_rows
from benchmarks.gpu.timing import QUICK
from benchmarks.rivals.task import Task
from san_core.data.prepared import PreparedData
from tests.benchmarks.shapes import SMALL

CPU = torch.device("cpu")


def test_every_step_is_measured_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "SHAPES", [SMALL])
    rows = list(gpu.step_rows("small", QUICK, CPU))
    assert [row.get("what") for row in rows] == [None, "plain float32", "as on a CPU", "cohort", "cohort"]
    assert all(row["examples"] > 0 for row in rows[1:])
    assert list(gpu.step_rows("small 1000", QUICK, CPU))[1]["shape"] == "small 1000"


def test_an_epoch_and_packed_processes_are_measured_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "SHAPES", [SMALL])
    rows = [*epochs.epoch_rows(QUICK, CPU), *packed_rows(SMALL, QUICK, CPU, processes=2)]
    assert [row["members"] for row in rows] == [1, 2]
    assert all(row["examples/s"] > 0 for row in rows)


def test_a_width_that_does_not_fit_is_said_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(steps, "cohort_steps", out_of_memory)
    rows = list(steps.rows_of(SMALL, QUICK, CPU, rate=1e9))
    assert [row.what for row in rows] == ["plain float32", "as on a CPU"]
    assert "2 members need more memory than there is" in capsys.readouterr().err


def script(name: str) -> list[str]:
    """Stands for a part: one that hangs after its first result, one that fails, one that ends."""
    end = {"paper": "time.sleep(60)", "daquar": "sys.exit(3)"}.get(name, "")
    return [sys.executable, "-c", f"import sys, time; print('{{\"x\": 1.5}}\\nnoise', flush=True); {end}"]


def test_a_part_that_hangs_or_fails_is_told_of_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "part_command", lambda name, _: script(name))
    file = tmp_path / "found.jsonl"
    chosen = ["--parts", "paper", "daquar", "easy-vqa"]
    gpu.main(["--device", "cpu", "--limit", "2", "--save", str(file), *chosen])
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["part"], row.get("x"), row.get("stopped")) for row in found] == [
        ("paper", 1.5, None),
        ("paper", None, "after its 2 s"),
        ("daquar", 1.5, None),
        ("daquar", None, "failed with exit code 3"),
        ("easy-vqa", 1.5, None),
    ]
    assert "daquar  x: 1.5" in capsys.readouterr().out


def test_all_parts_together_take_less_than_ten_minutes() -> None:
    assert sum(parts.LIMITS.values()) <= 600


def test_the_rate_of_a_search_leaves_out_its_first_report() -> None:
    from benchmarks.gpu.searches import rate

    logged = [LoggedEpoch(at, trial=0, epoch=1, score=0.5, seconds=1.0) for at in (9.0, 9.01, 10.0, 10.02, 11.0)]
    assert rate(Search({}, logged, []), questions=100) == pytest.approx(100 * 3 / 2)
    assert rate(Search({}, logged[:2], []), questions=100) is None


@pytest.mark.long
@pytest.mark.rare
@pytest.mark.skipif(importlib.util.find_spec("psutil") is None, reason="psutil is not installed")
@pytest.mark.parametrize("name", list(parts.SEARCH_LIMITS))
def test_every_search_runs_on_a_cpu(tiny_data: PreparedData, name: str) -> None:
    from benchmarks.gpu.searches import search_rows

    task = Task(str(tiny_data.folder), "san", seed=0, trials=3, epochs=2, log="", folder="")
    row: dict[str, Any]
    (row,) = search_rows(name, task, limit=120)
    assert row["search"] == name
    assert 0 < row["seconds to the end"] < 120
    assert row["trials"] == 3
    assert 3 <= row["epochs"] <= 6
