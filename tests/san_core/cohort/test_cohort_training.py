"""Whole epochs of a cohort beside those of `Training`, on the same data."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from san_core.cohort.task import Rows, Task
from san_core.cohort.training import CohortTraining
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.evaluation import predict_split
from san_core.training import Training, build_model
from tests.san_core.cohort.cohorts import largest_of

CPU = torch.device("cpu")


def _rows(config: TrainingConfig, data: PreparedData, task: Task) -> Rows:
    torch.manual_seed(config.seed)
    return task.new_rows(config, build_model(config, data).state_dict())


def _cohort(configs: list[TrainingConfig], data: PreparedData) -> tuple[CohortTraining, list[Rows]]:
    """A cohort, and its members' rows as they were loaded."""
    task = Task(replace(largest_of(configs), order_seed=0), data, CPU)
    cohort, rows = CohortTraining(task, len(configs)), [_rows(config, data, task) for config in configs]
    for slot, config in enumerate(configs):
        cohort.load(slot, config, rows[slot])
    return cohort, rows


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"questions_per_image": 3, "question_encoder": "cnn", "schedule": "cosine"},
        {"questions_per_image": 2, "answer_target": "sampled", "clip_norm": 0.1},
        {"answer_target": "soft", "attention": "bounded"},
        {"feature_dropout": 0.5},
    ],
    ids=["default", "questions together", "sampled", "soft", "feature dropout"],
)
def test_an_epoch_of_one_member_is_that_of_training(
    settings: dict[str, object], tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    config = TrainingConfig.from_dict({**tiny_config.to_dict(), "dropout": 0.0, "batch_size": 7, **settings})
    alone, (cohort, _) = Training(config, tiny_data), _cohort([config], tiny_data)
    questions = tiny_data.split("validation")
    for epoch in (1, 2):
        result = alone.run_epoch()
        assert cohort.train_epoch(epoch) == [pytest.approx(result.loss, rel=1e-4)]
        expected = predict_split(alone.model, tiny_data, questions, "float32").answers
        found = [tiny_data.answers[number] for number in cohort.predict()[0]]
        assert np.mean([one == other for one, other in zip(found, expected, strict=True)]) > 0.9


def test_members_that_go_on_in_another_cohort_are_the_members_that_stayed(
    tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    configs = [tiny_config, replace(tiny_config, seed=1, hidden_size=19)]
    (whole, _), (before, rows), (after, _) = (_cohort(configs, tiny_data) for _ in range(3))
    losses = [whole.train_epoch(epoch) for epoch in (1, 2, 3)]
    assert before.train_epoch(1) == losses[0]
    for slot in range(2):
        before.save(slot, rows[slot])
        after.load(slot, configs[slot], rows[slot])
    assert [after.train_epoch(epoch) for epoch in (2, 3)] == losses[1:]


def test_a_slot_without_member_has_no_loss_and_takes_a_member_again(
    tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    configs = [tiny_config, replace(tiny_config, seed=1)]
    cohort, rows = _cohort(configs, tiny_data)
    expected = cohort.train_epoch(1)
    cohort.load(1, configs[1], rows[1])
    cohort.clear(0)
    assert cohort.train_epoch(1) == [0.0, expected[1]]
    cohort.load(0, configs[0], rows[0])
    cohort.clear(1)
    assert cohort.train_epoch(1) == [expected[0], 0.0]


def test_an_epoch_does_not_depend_on_the_sizes_of_the_batches_before(
    tiny_config: TrainingConfig, tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders differ in how many images the largest batch has; each epoch has the room that its own order takes."""
    monkeypatch.setattr("san_core.cohort.task.IMAGES_MULTIPLE", 1)
    config = replace(tiny_config, questions_per_image=3, batch_size=7)
    task = Task(config, tiny_data, CPU)
    sizes = {epoch: task.epoch(epoch).batches.slots.images for epoch in range(1, 9)}
    small, large = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    assert sizes[small] < sizes[large]
    cohort, rows = _cohort([config], tiny_data)
    expected = cohort.train_epoch(small)
    cohort.train_epoch(large)
    cohort.load(0, config, rows[0])
    assert cohort.train_epoch(small) == expected


def test_a_diverged_member_has_no_loss(tiny_config: TrainingConfig, tiny_data: PreparedData) -> None:
    configs = [replace(tiny_config, learning_rate=9.0), tiny_config]
    cohort, rows = _cohort(configs, tiny_data)
    rows[0].weights.mul_(torch.inf)
    cohort.load(0, configs[0], rows[0])
    losses = cohort.train_epoch(1)
    assert np.isnan(losses[0])
    assert np.isfinite(losses[1])


def test_feature_dropout_changes_no_other_random_number_and_its_bytes_do_not_depend_on_the_share(
    tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    config = replace(tiny_config, batch_size=7, answer_target="sampled")
    without, low, high = (
        Task(replace(config, feature_dropout=share), tiny_data, CPU).epoch(2) for share in (0, 0.1, 0.9)
    )
    assert "channels" not in without.columns
    assert low.columns["channels"].shape == (without.batches.steps, tiny_data.images.shape[2])
    for epoch in (low, high):
        assert epoch.dropout_seed == without.dropout_seed
        assert (epoch.columns["channels"] == low.columns["channels"]).all()
        for name, column in without.columns.items():
            assert (epoch.columns[name] == column).all()
