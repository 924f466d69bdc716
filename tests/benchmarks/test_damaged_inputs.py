from pathlib import Path

import pytest

from benchmarks import damaged_inputs
from benchmarks.damaged_inputs import KINDS, give_inputs
from san_core.data.prepared import PreparedData


@pytest.mark.long
@pytest.mark.rare
@pytest.mark.filterwarnings("ignore")  # a damaged file makes libraries warn
def test_random_inputs_end_in_a_result_or_in_one_line(tiny_data: PreparedData) -> None:
    found = give_inputs(tiny_data.folder, 28, seed=1)
    assert found.faults == {}
    assert set(found.cases) == set(KINDS)
    assert set(found.codes) >= {0, 2}


def test_an_error_that_no_command_handles_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(damaged_inputs.results_command, "main", fail)
    fault, code = damaged_inputs._fault("results", ["base"], tmp_path)
    assert fault.startswith("RuntimeError in test_damaged_inputs.py fail line ")
    assert code == -1
