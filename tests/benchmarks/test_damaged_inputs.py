from pathlib import Path

import pytest

from benchmarks.damaged_inputs import commands
from benchmarks.damaged_inputs.__main__ import give_inputs
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
