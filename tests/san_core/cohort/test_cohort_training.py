"""Whole epochs of a cohort beside those of `Training`, on the same data."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from san_core.cohort.batches import Slots
from san_core.cohort.training import CohortTraining, Task
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.evaluation import predict_split
from san_core.models.san import SAN
from san_core.training import Training, build_model

CPU = torch.device("cpu")


def _network(config: TrainingConfig, data: PreparedData) -> SAN:
    torch.manual_seed(config.seed)
    return build_model(config, data)


def _cohort(configs: list[TrainingConfig], data: PreparedData, seed: int = 0) -> CohortTraining:
    networks = [_network(config, data) for config in configs]
    return CohortTraining(networks, configs, Task(data, order_seed=seed), CPU)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"questions_per_image": 3, "question_encoder": "cnn", "schedule": "cosine"},
        {"questions_per_image": 2, "answer_target": "sampled", "clip_norm": 0.1},
        {"answer_target": "soft", "attention": "bounded"},
    ],
    ids=["default", "questions together", "sampled", "soft"],
)
def test_an_epoch_of_one_member_is_that_of_training(
    settings: dict[str, object], tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    config = TrainingConfig.from_dict({**tiny_config.to_dict(), "dropout": 0.0, "batch_size": 7, **settings})
    alone, cohort = Training(config, tiny_data), _cohort([config], tiny_data, config.seed)
    questions = tiny_data.split("validation")
    for _ in range(2):
        result = alone.run_epoch()
        assert cohort.train_epoch() == [pytest.approx(result.loss, rel=1e-4)]
        expected = predict_split(alone.model, tiny_data, questions, "float32").answers
        found = [tiny_data.answers[number] for number in cohort.predict()[0]]
        assert np.mean([one == other for one, other in zip(found, expected, strict=True)]) > 0.9


def test_a_run_that_goes_on_from_its_states_is_the_run_that_was_not_interrupted(
    tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    configs = [tiny_config, replace(tiny_config, seed=1, hidden_size=19)]
    whole, before = _cohort(configs, tiny_data), _cohort(configs, tiny_data)
    losses = [whole.train_epoch() for _ in range(3)]
    assert [before.train_epoch()] == losses[:1]
    after = _cohort(configs, tiny_data)
    after.epoch = before.epoch
    for member in range(2):
        after.load_member(member, *before.member(member))
    assert [after.train_epoch() for _ in range(2)] == losses[1:]


def test_members_may_change_places(tiny_config: TrainingConfig, tiny_data: PreparedData) -> None:
    configs = [tiny_config, replace(tiny_config, seed=1, hidden_size=19, learning_rate=3e-3)]
    first, second = _cohort(configs, tiny_data), _cohort(configs[::-1], tiny_data)
    assert first.train_epoch() == pytest.approx(second.train_epoch()[::-1], rel=1e-6)


def test_an_order_with_more_images_in_a_batch_makes_the_batches_larger(
    tiny_config: TrainingConfig, tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny_config, questions_per_image=3, batch_size=7, dropout=0.0)
    expected = _cohort([config], tiny_data).train_epoch()
    monkeypatch.setattr(CohortTraining, "_training_slots", lambda _: Slots(2, 3))
    small = _cohort([config], tiny_data)
    assert small.train_epoch() == pytest.approx(expected, rel=1e-5)


def test_a_diverged_member_has_no_loss(tiny_config: TrainingConfig, tiny_data: PreparedData) -> None:
    configs = [replace(tiny_config, learning_rate=9.0, precision="float32"), tiny_config]
    cohort = _cohort(configs, tiny_data)
    weights, *_ = cohort.member(0)
    cohort.load_member(0, {name: weight * torch.inf for name, weight in weights.items()})
    losses = cohort.train_epoch()
    assert np.isnan(losses[0])
    assert np.isfinite(losses[1])
