import pytest
import torch

from benchmarks import gpu
from tests.benchmarks.shapes import SMALL


@pytest.mark.long
def test_every_measurement_runs_on_a_cpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpu, "SHAPES", [SMALL])
    gpu.main(["--device", "cpu", "--quick"])
    shown = capsys.readouterr().out
    for what in ("plain float32", "as on a CPU", "cohort", f"{SMALL.name} 1000", "An epoch of VQA v1's size"):
        assert what in shown


def test_a_width_that_does_not_fit_is_said_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(gpu, "cohort_steps", out_of_memory)
    rows = list(gpu.rows_of(SMALL, gpu.QUICK, torch.device("cpu"), rate=1e9))
    assert [row.what for row in rows] == ["plain float32", "as on a CPU"]
    assert "2 members need more memory than there is" in capsys.readouterr().out
