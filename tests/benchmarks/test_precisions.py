import pytest

from benchmarks import precisions
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.training import train_fn


def test_score_is_that_of_the_last_epoch_under_the_data_sets_settings(tiny_data: PreparedData) -> None:
    changes = {"precision": "float32", "seed": 3, "epochs": 2}
    scores: list[float | None] = []
    config = TrainingConfig.from_dict({**tiny_data.training_defaults, **changes})
    train_fn(config, tiny_data, lambda result: scores.append(result.score) is None)
    assert precisions.final_score(tiny_data, precision="float32", seed=3, epochs=2) == scores[1]


def test_each_precision_is_a_row(
    tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def score(_data: PreparedData, *, precision: str, seed: int, epochs: int) -> float:
        return {"float32": [0.5, 0.7], "bfloat16": [0.9, 0.9]}[precision][seed] + epochs / 100

    monkeypatch.setattr(precisions, "final_score", score)
    precisions.main(["--data", str(tiny_data.folder), "--seeds", "2", "--epochs", "1"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "float" in line]
    assert [[cell for cell in row if cell != "│"] for row in rows] == [
        ["float32", "61.00%", "14.14", "51.00%", "71.00%"],
        ["bfloat16", "91.00%", "0.00", "91.00%", "91.00%"],
    ]
