import json
from pathlib import Path

import pytest

from benchmarks.damaged_inputs import commands
from benchmarks.damaged_inputs.__main__ import main
from benchmarks.damaged_inputs.giving import give_inputs
from benchmarks.damaged_inputs.inputs import KINDS
from san_core.data.prepared import PreparedData


@pytest.mark.long
@pytest.mark.rare
@pytest.mark.filterwarnings("ignore")  # a damaged file makes libraries warn
def test_random_inputs_end_in_a_result_or_in_one_line(tiny_data: PreparedData) -> None:
    outcomes = give_inputs(tiny_data.folder, range(28), seed=1)
    assert [outcome for outcome in outcomes if outcome.fault] == []
    assert {outcome.kind for outcome in outcomes} == set(KINDS)
    assert {outcome.code for outcome in outcomes} >= {0, 2}


def test_an_error_that_no_command_handles_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(commands.results_command, "main", fail)
    fault, code = commands.fault_and_code("results", ["base"], tmp_path)
    assert fault.startswith("RuntimeError in test_damaged_inputs.py fail line ")
    assert code == -1


@pytest.mark.long
@pytest.mark.rare
@pytest.mark.filterwarnings("ignore")
def test_two_processes_give_all_inputs(tmp_path: Path) -> None:
    assert main(["--inputs", "7", "--parallel", "2", "--seed", "3", "--save", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["kind"], row["inputs"]) for row in rows] == [*((kind, 1) for kind in KINDS), ("in all", 7)]
