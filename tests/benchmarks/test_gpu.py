import pytest
import torch

from benchmarks import gpu
from tests.benchmarks.shapes import SMALL


@pytest.mark.long
def test_every_measurement_runs_on_a_cpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpu, "SHAPES", [SMALL])
    gpu.main(["--device", "cpu", "--quick"])
    shown = capsys.readouterr().out
    for what in (*(name for name, variant in gpu.VARIANTS.items() if not variant[2]), "epoch of VQA v1", "2 processes"):
        assert what in shown
    assert shown.count("examples/s") == 6


@pytest.mark.parametrize("how", gpu.FEEDS)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_every_feed_gives_the_rows_asked_for(device: str, how: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    store = torch.randn(10, 3, 2).bfloat16()
    rows = [torch.randint(10, (4,)) for _ in range(5)]
    found = [images.cpu() for images in gpu.feed(store, rows, torch.device(device), how)]
    assert torch.equal(torch.stack(found), store[torch.stack(rows)])


def test_what_does_not_fit_is_a_row_of_the_table() -> None:
    def measure() -> float:
        raise torch.OutOfMemoryError

    assert gpu._attempt(measure, "{:.0f}") == "out of memory"
