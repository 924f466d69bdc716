"""Whether the network can learn at all: real questions, real images, real features."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from san_core.config import TrainingConfig
from san_core.data.preparation import Options, prepare
from san_core.data.problems import Problems
from san_core.data.raw_dataset import RawDataset
from san_core.data.readers import daquar
from san_core.training import EpochResult, train_fn

DAQUAR = Path(__file__).parents[3] / "shared" / "daquar"

QUESTIONS = 200


@pytest.mark.skipif(not DAQUAR.is_dir(), reason="needs DAQUAR in ../shared/daquar")
@pytest.mark.parametrize("question_encoder", ["lstm", "cnn"])
def test_200_questions_of_daquar_are_learned_by_heart(
    question_encoder: str, register: Callable[[RawDataset], None], tmp_path: Path
) -> None:
    source = daquar.read("reduced", DAQUAR, Problems(), single_answers=False)
    # A fifth of the images goes to validation, which nobody looks at here.
    few = replace(source, name="few", train=source.train[: QUESTIONS + 80], test=())
    register(few)
    data = prepare("few", tmp_path / "few", Options(image_size=96))
    split = data.split("train")
    assert len(split) >= QUESTIONS
    config = TrainingConfig(
        learning_rate=1e-3,
        momentum=0.0,
        dropout=0.0,
        embedding_size=64,
        hidden_size=128,
        attention_size=64,
        batch_size=20,
        question_encoder=question_encoder,
        epochs=60,
    )
    scores: list[float] = []

    def until_learned(result: EpochResult) -> bool:
        scores.append(result.score or 0.0)
        return scores[-1] < 0.99

    train_fn(config, data, until_learned, score_on="train")
    assert max(scores) >= 0.99
