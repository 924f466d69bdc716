"""Members that are trained together, beside each of them trained alone."""

import copy
import io
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.folds import FoldedTraining
from san_core.question_scores import QuestionScores
from san_core.shared_training import Member, SharedTraining
from san_core.training import EpochResult, Training

DIFFERENT = (
    {"seed": 1},
    {"seed": 2, "learning_rate": 4e-3, "embedding_size": 9, "schedule": "cosine", "feature_dropout": 0.3},
    {"seed": 3, "momentum": 0.2, "weight_decay": 1e-3, "dropout": 0.0, "schedule": "step", "step_epochs": 1},
    {"seed": 4, "alpha": 0.9, "eps": 1e-4, "embedding_size": 24, "clip_norm": 0.5, "dropout": 0.6},
)
"""Settings of four members; the hidden and attention sizes, and so dropout's random bytes, are as for one alone."""

Figures = tuple[int, float, float | None, str]


@pytest.fixture
def configs(tiny_config: TrainingConfig) -> list[TrainingConfig]:
    """Four members whose order of the questions is the same."""
    return [
        TrainingConfig.from_dict({**tiny_config.to_dict(), "order_seed": 7, "device_step": "on", **settings})
        for settings in DIFFERENT
    ]


@pytest.fixture
def largest(configs: list[TrainingConfig]) -> TrainingConfig:
    return replace(configs[0], embedding_size=24, dropout=0.6, feature_dropout=0.3, clip_norm=0.5)


@pytest.fixture
def shared(largest: TrainingConfig, tiny_data: PreparedData) -> SharedTraining:
    return SharedTraining(largest, 4, tiny_data)


def _figures(result: EpochResult) -> Figures:
    return result.epoch, result.loss, result.score, result.diverged


def _train(
    shared: SharedTraining, members: Sequence[Member], width: int | None = None, epochs: int = 3
) -> list[list[Figures]]:
    """The figures of each member, epoch by epoch."""
    by_epoch = [[_figures(result) for result in shared.train_epoch(members, width)] for _ in range(epochs)]
    return [list(figures) for figures in zip(*by_epoch, strict=True)]


def _bits(member: Member) -> list[Tensor]:
    return [row.clone() for row in member.rows]


def _same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("encoder", ["lstm", "cnn"])
def test_a_member_ends_where_it_ends_alone_up_to_rounding(
    encoder: str, precision: str, configs: list[TrainingConfig], largest: TrainingConfig, tiny_data: PreparedData
) -> None:
    settings = {"question_encoder": encoder, "precision": precision}
    shared = SharedTraining(TrainingConfig.from_dict({**largest.to_dict(), **settings}), 4, tiny_data)
    configs = [TrainingConfig.from_dict({**config.to_dict(), **settings}) for config in configs]
    found = _train(shared, [shared.new_member(config) for config in configs])
    within = 1e-4 if precision == "float32" else 0.02
    for config, figures in zip(configs, found, strict=True):
        alone = Training(config, tiny_data)
        for epoch, loss, score, _ in figures:
            expected = alone.run_epoch()
            assert (epoch, loss) == (expected.epoch, pytest.approx(expected.loss, rel=within))
            assert score == pytest.approx(expected.score, abs=0.05)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_bits_come_of_any_slot_beside_any_neighbours(
    precision: str, configs: list[TrainingConfig], largest: TrainingConfig, tiny_data: PreparedData
) -> None:
    shared = SharedTraining(replace(largest, precision=precision), 4, tiny_data)
    configs = [replace(config, precision=precision) for config in configs]
    member = shared.new_member(configs[0])
    (expected,), bits = _train(shared, [member], width=4), _bits(member)
    for slot in range(4):
        others = [shared.new_member(config) for config in configs[1:]]
        again = shared.new_member(configs[0])
        members = [*others[:slot], again, *others[slot:]]
        assert _train(shared, members)[slot] == expected
        assert _same(_bits(again), bits)


def test_the_same_bits_come_of_groups_that_change_after_each_epoch(
    shared: SharedTraining, configs: list[TrainingConfig]
) -> None:
    kept = [shared.new_member(config) for config in configs]
    expected = _train(shared, kept)
    a, b, c, d = members = [shared.new_member(config) for config in configs]
    found: dict[int, list[Figures]] = {id(member): [] for member in members}
    for groups in ([[d, b], [a, c]], [[c, a, d], [b]], [[b], [a], [d, c]]):
        for group in groups:
            for member, result in zip(group, shared.train_epoch(group, width=4), strict=True):
                found[id(member)].append(_figures(result))
    assert list(found.values()) == expected
    assert all(_same(_bits(one), _bits(other)) for one, other in zip(kept, members, strict=True))


def test_the_same_bits_come_of_a_member_that_was_saved_and_restored(
    shared: SharedTraining, configs: list[TrainingConfig], largest: TrainingConfig, tiny_data: PreparedData
) -> None:
    members = [shared.new_member(config) for config in configs]
    expected = _train(shared, members)
    before = [shared.new_member(config) for config in configs]
    found = _train(shared, before, epochs=1)
    other = SharedTraining(largest, 4, tiny_data)
    restored = []
    for member in before[::-1]:
        torch.save(shared.state_dict(member), file := io.BytesIO())
        file.seek(0)
        restored.append(other.restore_member(member.config, torch.load(file, weights_only=True)))
    assert [each.seconds for each in restored[::-1]] == [each.seconds for each in before]
    after = _train(other, restored, epochs=2)[::-1]
    assert [first + rest for first, rest in zip(found, after, strict=True)] == expected
    assert all(_same(_bits(one), _bits(two)) for one, two in zip(members, restored[::-1], strict=True))


def test_states_are_those_of_training(
    shared: SharedTraining, configs: list[TrainingConfig], tiny_data: PreparedData
) -> None:
    for config in configs:
        alone, member = Training(config, tiny_data), shared.new_member(config)
        mine, own = shared.state_dict(member), alone.state_dict()
        assert list(mine["model"]) == list(own["model"])
        assert _same(list(mine["model"].values()), list(own["model"].values()))
        alone.run_epoch()
        shared.train_epoch([member])
        own, mine = alone.state_dict(), shared.state_dict(member)
        assert mine.keys() == own.keys()
        assert mine["epoch"] == own["epoch"] == 1
        for name in ("square_avg", "momentum_buffer"):
            for found, expected in zip(mine["optimizer"][name], own["optimizer"][name], strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
        moved, back = shared.restore_member(config, own), Training(config, tiny_data)
        back.load_state_dict(mine)
        assert shared.train_epoch([moved])[0].loss == pytest.approx(alone.run_epoch().loss, rel=1e-4)
        assert back.run_epoch().loss == pytest.approx(shared.train_epoch([member])[0].loss, rel=1e-4)


FOLDS = 3


@pytest.fixture
def on_folds(largest: TrainingConfig, tiny_data: PreparedData) -> SharedTraining:
    """Two epochs on each of three folds."""
    return SharedTraining(replace(largest, epochs=2), 4, tiny_data, folds=FOLDS)


def test_on_folds_a_member_ends_where_it_ends_alone(
    on_folds: SharedTraining, configs: list[TrainingConfig], tiny_data: PreparedData
) -> None:
    configs = [replace(config, epochs=2) for config in configs]
    members = [on_folds.new_member(config) for config in configs]
    found = [on_folds.train_epoch(members) for _ in range(2 * FOLDS)]
    for config, results in zip(configs, zip(*found, strict=True), strict=True):
        alone = FoldedTraining(config, tiny_data, FOLDS)
        for result in results:
            expected = alone.run_epoch()
            assert (result.epoch, result.loss) == (expected.epoch, pytest.approx(expected.loss, rel=1e-4))
            assert result.score == pytest.approx(expected.score, abs=0.05)
            scores = QuestionScores.from_text(result.by_question)
            assert scores.scores.mean() == pytest.approx(result.score)
            assert scores.questions == QuestionScores.from_text(expected.by_question).questions
        assert alone.finished


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_on_folds_the_same_bits_come_of_any_order_and_of_members_that_were_restored(
    epochs: int, on_folds: SharedTraining, configs: list[TrainingConfig], tiny_data: PreparedData
) -> None:
    configs = [replace(config, epochs=2) for config in configs]
    members = [on_folds.new_member(config) for config in configs]
    expected = _train(on_folds, members, 4, epochs=2 * FOLDS)

    begun = [on_folds.new_member(config) for config in configs]
    found = _train(on_folds, begun, 4, epochs)
    other = SharedTraining(on_folds.largest, 4, tiny_data, folds=FOLDS)
    states = [copy.deepcopy(on_folds.state_dict(member)) for member in begun]
    for number, (member, state) in enumerate(zip(begun, states, strict=True)):  # one after the other, to their ends
        trainer = other if number % 2 else on_folds
        rest = _train(trainer, [trainer.restore_member(member.config, state)], 4, epochs=2 * FOLDS - epochs)
        assert found[number] + rest[0] == expected[number]


def test_states_on_folds_are_those_of_folded_training(
    on_folds: SharedTraining, configs: list[TrainingConfig], tiny_data: PreparedData
) -> None:
    config = replace(configs[1], epochs=2)
    alone, member = FoldedTraining(config, tiny_data, FOLDS), on_folds.new_member(config)
    for _ in range(2):
        alone.run_epoch()
        on_folds.train_epoch([member])
    own, mine = alone.state_dict(), on_folds.state_dict(member)
    assert mine.keys() == own.keys()
    moved, back = on_folds.restore_member(config, own), FoldedTraining(config, tiny_data, FOLDS)
    back.load_state_dict(mine)
    assert on_folds.train_epoch([moved])[0].loss == pytest.approx(alone.run_epoch().loss, rel=1e-4)
    assert on_folds.train_epoch([member])[0].loss == pytest.approx(back.run_epoch().loss, rel=1e-4)
    assert (moved.fold, moved.epoch) == (1, 3)


def test_seeds_differ_where_the_order_is_shared(shared: SharedTraining, configs: list[TrainingConfig]) -> None:
    same, other, seed = (shared.new_member(replace(configs[0], seed=seed)) for seed in (1, 1, 2))
    assert _same(_bits(same), _bits(other))
    assert not _same(_bits(same), _bits(seed))
    losses = [result.loss for result in shared.train_epoch([same, other, seed])]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("device_step", ["on", "off"])
def test_the_order_seed_decides_the_order_and_dropout(
    device_step: str, tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    config = replace(tiny_config, seed=3, device_step=device_step)
    changed = (config, replace(config, order_seed=3), replace(config, order_seed=4))
    losses = [Training(each, tiny_data).run_epoch().loss for each in changed]
    assert losses[0] == losses[1] != losses[2]


def test_a_member_that_diverges_leaves_the_bits_of_the_others(
    shared: SharedTraining, configs: list[TrainingConfig]
) -> None:
    healthy = [shared.new_member(config) for config in configs]
    expected = _train(shared, healthy, epochs=2)
    members = [shared.new_member(config) for config in configs]
    members[1].rows.weights.mul_(math.inf)
    found = _train(shared, members, epochs=2)
    assert [epoch[3] for epoch in found[1]] == ["the loss is nan"] * 2
    for slot in (0, 2, 3):
        assert found[slot] == expected[slot]
        assert _same(_bits(members[slot]), _bits(healthy[slot]))
    late = [shared.new_member(configs[0])]  # in the slot beside those that it left
    assert _train(shared, late, width=4, epochs=2)[0] == expected[0]


def test_a_member_that_knows_less_than_an_untrained_network_has_diverged(
    shared: SharedTraining, configs: list[TrainingConfig]
) -> None:
    state = shared.state_dict(shared.new_member(configs[0]))
    state["model"]["classify.weight"].zero_()
    state["model"]["classify.bias"][:] = torch.eye(6)[shared._data.answers.index("no")] * 50  # it is sure of no
    stuck = shared.restore_member(replace(configs[0], learning_rate=1e-9), state)
    found = _train(shared, [shared.new_member(configs[0]), stuck])
    assert [diverged for *_, diverged in found[0]] == ["", "", ""]
    loss, score, diverged = found[1][-1][1:]
    assert diverged == "no better than always answering 'yes'"
    answers = [question.answer for question in shared._data.questions_of("validation")]
    assert score is not None
    assert score <= answers.count("yes") / len(answers)
    assert loss > math.log(6)  # four colours, yes and no


def test_every_width_gives_the_same_up_to_rounding(shared: SharedTraining, configs: list[TrainingConfig]) -> None:
    found = []
    for width in (1, 2, 4):
        member = shared.new_member(configs[1])
        found.append([loss for _, loss, _, _ in _train(shared, [member], width)[0]])
    assert found[1] == pytest.approx(found[0], rel=1e-4)
    assert found[2] == pytest.approx(found[0], rel=1e-4)


def test_an_epoch_without_a_width_takes_the_smallest_that_holds_the_members(
    shared: SharedTraining, configs: list[TrainingConfig]
) -> None:
    for count, width in ((1, 1), (2, 2), (3, 4), (4, 4)):
        members, others = ([shared.new_member(config) for config in configs[:count]] for _ in range(2))
        assert _train(shared, members, epochs=1) == _train(shared, others, width, epochs=1)
        assert _same(_bits(members[-1]), _bits(others[-1]))
    assert sorted(shared._cohorts) == [1, 2, 4]


def test_seconds_are_the_members_share(shared: SharedTraining, configs: list[TrainingConfig]) -> None:
    members = [shared.new_member(config) for config in configs]
    results = [shared.train_epoch(members) for _ in range(2)]
    assert all(len({result.seconds for result in epoch}) == 1 for epoch in results)
    assert members[0].seconds == sum(epoch[0].seconds for epoch in results) > 0
    assert shared.examples == Training(members[0].config, shared._data).examples


def test_members_that_cannot_be_trained_together_are_refused(
    shared: SharedTraining, configs: list[TrainingConfig]
) -> None:
    members = [shared.new_member(config) for config in (*configs, configs[0])]
    with pytest.raises(ValueError, match="1 to 4 members can be trained at once, but got 5"):
        shared.train_epoch(members)
    with pytest.raises(ValueError, match="1 to 4 members can be trained at once, but got 0"):
        shared.train_epoch([])
    for width in (1, 3, 8):
        with pytest.raises(ValueError, match=f"width must be a power of two from 2 to 4, but got {width}"):
            shared.train_epoch(members[:2], width=width)
    shared.train_epoch(members[:1])
    with pytest.raises(ValueError, match=r"the same number of finished epochs, but got \[0, 1\]"):
        shared.train_epoch(members[:2])
    with pytest.raises(InputError, match="embedding_size must be at most 24"):
        shared.new_member(replace(configs[0], embedding_size=25))
    with pytest.raises(InputError, match="order_seed must be 7"):
        shared.restore_member(replace(configs[0], order_seed=None), shared.state_dict(members[0]))


def test_what_cannot_be_shared_is_refused(
    largest: TrainingConfig, tiny_data: PreparedData, tiny_pixels: PreparedData
) -> None:
    with pytest.raises(ValueError, match="width must be a power of two, but got 3"):
        SharedTraining(largest, 3, tiny_data)
    with pytest.raises(InputError, match="but the data hold pixels"):
        SharedTraining(largest, 2, tiny_pixels)


def test_no_split_scored_gives_no_score(largest: TrainingConfig, tiny_data: PreparedData) -> None:
    shared = SharedTraining(largest, 1, tiny_data, score_on=None)
    assert shared.train_epoch([shared.new_member(largest)])[0].score is None


@pytest.mark.parametrize("encoder", ["lstm", "cnn"])
def test_pretrained_word_vectors_are_projected_where_the_embedding_has_another_size(
    encoder: str, largest: TrainingConfig, tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(len(tiny_data.words), 10))).float()
    monkeypatch.setitem(tiny_data.__dict__, "word_vectors", vectors)
    most = replace(largest, embedding_init="pretrained", question_encoder=encoder, weight_decay=0.01)
    shared = SharedTraining(most, 4, tiny_data)
    configs = [replace(most, embedding_size=size, dropout=0.0) for size in (10, 6, 17)]
    members = [shared.new_member(config) for config in configs]
    found = _train(shared, members)
    for config, figures, member in zip(configs, found, members, strict=True):
        alone = Training(replace(config, device_step="off"), tiny_data)
        expected = [alone.run_epoch().loss for _ in range(3)]
        assert [loss for _, loss, _, _ in figures] == pytest.approx(expected, rel=1e-3)
        assert list(shared.state_dict(member)["model"]) == list(alone.model.state_dict())
