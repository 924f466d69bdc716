"""The stacked step beside the equations, member by member, and what it leaves alone."""

import math

import pytest
import torch
from torch import Tensor

from san_core.cohort.batches import Batch
from san_core.cohort.network import check_member
from san_core.cohort.step import answer_shares
from san_core.errors import InputError
from tests.san_core.cohort import reference
from tests.san_core.cohort.cohorts import CHANNELS, SLOTS, STEPS, Cohort, cohort, configs_of, predict_step

Random = tuple[Tensor, Tensor]


def _train(made: Cohort, steps: int) -> tuple[list[Batch], list[Random | None]]:
    """Trains the cohort, and returns the batches and the random bytes that it got."""
    generator = torch.Generator().manual_seed(3)
    batches, randoms = [], []
    for number in range(steps):
        made.step.buffers.step.fill_(number % STEPS)
        batches.append(made.step.buffers.batch(made.step.features))
        randoms.append(made.step.draw(generator))
        made.step.train(batches[-1], randoms[-1])
    return batches, randoms


def _kept(made: Cohort, member: int, random: Random | None, slot: int) -> Random | None:
    """What a member's dropout keeps for a slot, scaled, at its own sizes."""
    config, layout = made.configs[member], made.network.layout
    if random is None or config.dropout == 0:
        return None
    threshold = round(config.dropout * 256)
    size, hidden = layout.shapes["hop_image"][1:]
    of_h = random[0].view(config.hops, SLOTS.rows, -1, size)[:, slot, :, : config.attention_size]
    of_u = random[1].view(SLOTS.rows, hidden)[slot, layout.places(config)["H"]]
    return (of_h >= threshold) * (256 / (256 - threshold)), (of_u >= threshold) * (256 / (256 - threshold))


def _loss_by_the_equations(
    made: Cohort, member: int, weights: dict[str, Tensor], batch: Batch, random: Random | None
) -> tuple[Tensor, int]:
    """The member's mean loss over a batch, and the questions it has."""
    config, losses = made.configs[member], []
    for slot in batch.filled.nonzero().flatten().tolist():
        tokens = made.tokens[batch.questions[slot]]
        words = tokens[tokens != 0].tolist() or [0]
        features = batch.features[slot // SLOTS.questions, :, :CHANNELS]
        if batch.channels is not None:
            threshold = round(config.feature_dropout * 256)
            features = features * (batch.channels >= threshold) * (256 / (256 - threshold))
        logits = reference.logits(weights, config, features, words, _kept(made, member, random, slot))
        target = torch.zeros(len(logits), dtype=logits.dtype)
        if config.answer_target == "soft":
            target += answer_shares(batch.targets, len(logits))[slot]
        else:
            target[batch.targets[slot]] = 1
        losses.append(-(logits.log_softmax(0) * target).sum())
    return torch.stack(losses).mean(), len(losses)


def _train_by_the_equations(
    made: Cohort, member: int, state: dict[str, Tensor], batches: list[Batch], randoms: list[Random | None]
) -> tuple[dict[str, Tensor], float]:
    """The member's weights after the batches, and the sum of its losses."""
    kept: dict[str, Tensor] = {}
    total = 0.0
    for batch, random in zip(batches, randoms, strict=True):
        weights = {name: weight.detach().requires_grad_() for name, weight in state.items()}
        loss, questions = _loss_by_the_equations(made, member, weights, batch, random)
        grads = dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))
        grads["question_encoder.embedding.weight"][0] = 0  # padding learns nothing
        reference.clip(grads, made.configs[member])
        reference.rmsprop(
            state := {name: weight.detach() for name, weight in weights.items()}, grads, kept, made.configs[member]
        )
        total += float(loss.detach()) * questions
    return state, total


@pytest.mark.parametrize("members", [1, 2, 7])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"question_encoder": "cnn", "hops": 1, "attention": "bounded", "clip_norm": 0.5, "clip_by": "tensor"},
        {"hops": 3, "answer_target": "soft", "dropout": 0.0, "clip_norm": 0.3},
        {"feature_dropout": 0.6, "dropout": 0.0},
    ],
    ids=["lstm", "cnn", "three hops", "feature dropout"],
)
def test_each_member_ends_where_the_equations_end(members: int, settings: dict[str, object]) -> None:
    made = cohort(configs_of(members, **settings))
    states = {member: made.state(member) for member in {0, members // 2, members - 1}}
    batches, randoms = _train(made, steps=20)
    for member, state in states.items():
        expected, total = _train_by_the_equations(made, member, state, batches, randoms)
        found = made.state(member)
        assert found.keys() == expected.keys()
        for name, weight in expected.items():
            if name.endswith("score.bias"):
                continue  # softmax does not see it: its gradient is 0, up to rounding
            torch.testing.assert_close(found[name], weight, rtol=1e-5, atol=1e-6)
        assert float(made.step.losses[member]) == pytest.approx(total, rel=1e-7)


def test_float32_strays_by_its_rounding_only() -> None:
    exact, rounded = cohort(configs_of(3)), cohort(configs_of(3), dtype=torch.float32)
    _train(exact, steps=20)
    _train(rounded, steps=20)
    assert rounded.step.losses.tolist() == pytest.approx(exact.step.losses.tolist(), rel=1e-4)


def test_bfloat16_products_stray_little_and_the_weights_stay_float32() -> None:
    exact = cohort(configs_of(3))
    rounded = cohort(configs_of(3), dtype=torch.float32, working=torch.bfloat16)
    _train(exact, steps=3)
    _train(rounded, steps=3)
    assert rounded.network.weights.dtype == torch.float32
    assert torch.equal(rounded.network.weights.bfloat16(), rounded.network.working)
    assert rounded.step.losses.tolist() == pytest.approx(exact.step.losses.tolist(), rel=0.03)


@pytest.mark.parametrize("encoder", ["lstm", "cnn"])
def test_padding_and_its_optimizer_state_stay_zero(encoder: str) -> None:
    made = cohort(configs_of(7, question_encoder=encoder))
    _train(made, steps=20)
    for flat in (made.network.weights, made.optimizer.square_avg, made.optimizer.momentum_buffer):
        assert all(len(padding) and not padding.any() for padding in made.padding(flat)[:4])


def test_a_member_does_not_depend_on_the_others() -> None:
    # The third member is the largest: with it the padded sizes are the same, hence the random bytes.
    together, apart = cohort(configs_of(3)), cohort([configs_of(3)[0], configs_of(3)[2]])
    _train(together, steps=5)
    _train(apart, steps=5)
    for name, weight in together.state(0).items():
        torch.testing.assert_close(apart.state(0)[name], weight, rtol=1e-9, atol=1e-12)


def test_a_member_that_diverges_is_frozen_and_leaves_the_others_untouched() -> None:
    healthy, ill = cohort(configs_of(3)), cohort(configs_of(3))
    ill.network.layout.views(ill.network.weights)["classify"][1, 0, 0] = math.inf
    before = ill.network.weights[1].clone()
    _train(healthy, steps=5)
    _train(ill, steps=5)
    assert ill.network.active.flatten().tolist() == [True, False, True]
    assert torch.equal(ill.network.weights[1], before)
    for member in (0, 2):
        assert torch.equal(ill.network.weights[member], healthy.network.weights[member])
        assert ill.step.losses[member] == healthy.step.losses[member]


def test_hyperparameters_that_change_between_steps_take_effect() -> None:
    made = cohort(configs_of(2))
    _train(made, steps=1)
    before = made.network.weights.clone()
    made.optimizer.operands[2].learning_rate[0] = 0
    _train(made, steps=1)
    assert torch.equal(made.network.weights[0], before[0])
    assert not torch.equal(made.network.weights[1], before[1])


def test_dropout_that_changes_between_steps_takes_effect() -> None:
    changed, low = cohort(configs_of(2)), cohort(configs_of(2, dropout=0.1))
    changed.network.set_dropout([0.1, 0.1])
    _train(changed, steps=1)
    _train(low, steps=1)
    assert torch.equal(changed.step.losses, low.step.losses)


def test_feature_dropout_that_changes_between_steps_takes_effect() -> None:
    changed, low = cohort(configs_of(2, feature_dropout=0.8)), cohort(configs_of(2, feature_dropout=0.1))
    changed.network.set_feature_dropout([0.1, 0.1])
    _train(changed, steps=3)
    _train(low, steps=3)
    assert torch.equal(changed.step.losses, low.step.losses)


@pytest.mark.parametrize("working", [None, torch.bfloat16])
def test_a_member_without_feature_dropout_has_the_same_bits_beside_one_that_has_it(working: torch.dtype | None) -> None:
    """Its channels are multiplied by 1, in a step that otherwise draws the same."""
    beside = cohort([*configs_of(2), configs_of(1, feature_dropout=0.8)[0]], dtype=torch.float32, working=working)
    without = cohort([*configs_of(2), configs_of(1)[0]], dtype=torch.float32, working=working)
    _train(beside, steps=5)
    _train(without, steps=5)
    assert torch.equal(beside.network.weights[:2], without.network.weights[:2])
    assert not torch.equal(beside.network.weights[2], without.network.weights[2])


def test_evaluation_answers_as_the_equations_do_without_dropout() -> None:
    made = cohort(configs_of(2, feature_dropout=0.7))
    step = predict_step(made)
    for _ in range(STEPS):
        step.run()
    for number in range(STEPS):
        made.step.buffers.step.fill_(number)
        batch = made.step.buffers.batch(made.step.features)
        for member, config in enumerate(made.configs):
            for slot in range(SLOTS.rows):
                tokens = made.tokens[batch.questions[slot]]
                words = tokens[tokens != 0].tolist() or [0]
                features = batch.features[slot // SLOTS.questions, :, :CHANNELS]
                logits = reference.logits(made.state(member), config, features, words, None)
                assert int(step.answers[number, member, slot]) == int(logits.argmax())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hops": 1}, "hops must be 2 as for all members of the cohort, but got 1"),
        ({"seed": 9}, "order_seed must be 1 as for all members of the cohort, but got 9"),
        ({"order_seed": 2}, "order_seed must be 1 as for all members of the cohort, but got 2"),
        ({"hidden_size": 17}, "hidden_size must be at most 16, the largest in the cohort, but got 17"),
        (
            {"feature_dropout": 0.2},
            "feature_dropout must be 0 as in the largest configuration of the cohort, but got 0.2",
        ),
        ({"clip_norm": 0.1}, "clip_norm must be 0 as in the largest configuration of the cohort, but got 0.1"),
    ],
)
def test_a_member_that_a_cohort_has_no_room_for_is_refused(settings: dict[str, object], message: str) -> None:
    largest = configs_of(1)[0]
    check_member(configs_of(1, seed=9, order_seed=1, embedding_size=3)[0], largest)
    with pytest.raises(InputError, match=f"^{message}$"):
        check_member(configs_of(1, **settings)[0], largest)
