import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from san_core.config import TrainingConfig
from san_core.models.san import SAN, build_san
from san_core.optimizer import build_optimizer, clip_gradients, learning_rate_factor, set_learning_rate

EMBEDDING = "question_encoder.embedding.weight"


def _config(**changes: float | str) -> TrainingConfig:
    sizes: dict[str, float | str] = {"embedding_size": 4, "hidden_size": 6, "attention_size": 3}
    return TrainingConfig.from_dict(sizes | changes)


def _network(config: TrainingConfig) -> SAN:
    torch.manual_seed(0)
    network = build_san(config, channels=8, vocabulary_size=9, answers=5)
    for weight in network.parameters():
        weight.grad = torch.randn_like(weight)
    return network


def _gradients(network: SAN) -> dict[str, Tensor]:
    found = {name: weight.grad for name, weight in network.named_parameters()}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_steps_are_those_of_rmsprop_with_weight_decay_except_of_the_word_embedding(weight_decay: float) -> None:
    config = _config(learning_rate=0.01, momentum=0.8, alpha=0.9, eps=1e-3, weight_decay=weight_decay)
    network = _network(config)
    expected = {name: weight.detach().double().numpy().copy() for name, weight in network.named_parameters()}
    gradients = {name: gradient.double().numpy() for name, gradient in _gradients(network).items()}
    optimizer = build_optimizer(network, config)
    square_avg = {name: np.zeros_like(weight) for name, weight in expected.items()}
    momentum_buffer = {name: np.zeros_like(weight) for name, weight in expected.items()}
    for _ in range(3):
        optimizer.step()
        for name, weight in expected.items():
            decayed = gradients[name] + (0 if name == EMBEDDING else weight_decay) * weight
            square_avg[name] = 0.9 * square_avg[name] + 0.1 * decayed**2
            momentum_buffer[name] = 0.8 * momentum_buffer[name] + decayed / (np.sqrt(square_avg[name]) + 1e-3)
            expected[name] = weight - 0.01 * momentum_buffer[name]
    for name, weight in network.named_parameters():
        np.testing.assert_allclose(weight.detach().numpy(), expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 0.1)])
def test_steps_are_those_of_torch_to_the_bit_before_and_after_an_interruption(
    momentum: float, weight_decay: float
) -> None:
    config = _config(learning_rate=0.01, momentum=momentum, alpha=0.9, weight_decay=weight_decay)
    ours, theirs = _network(config), _network(config)
    optimizer = build_optimizer(ours, config)
    expected = torch.optim.RMSprop(
        [
            {"params": [w for n, w in theirs.named_parameters() if n != EMBEDDING], "weight_decay": weight_decay},
            {"params": [theirs.question_encoder.embedding.weight]},
        ],
        lr=0.01,
        alpha=0.9,
        eps=config.eps,
        momentum=momentum,
    )
    for _ in range(2):
        optimizer.step()
        expected.step()
    state, optimizer = optimizer.state_dict(), build_optimizer(ours, config)
    optimizer.load_state_dict(state)
    optimizer.step()
    expected.step()
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_weight_without_gradient_stays() -> None:
    config = _config()
    network = _network(config)
    network.classify.bias.grad = None
    before = network.classify.bias.detach().clone()
    build_optimizer(network, config).step()
    assert torch.equal(network.classify.bias, before)


def test_training_does_not_load_torchs_compiler() -> None:
    """It would take 100 MB of each worker."""
    code = """
import sys, torch
from san_core.config import TrainingConfig
from san_core.models.san import build_san
from san_core.optimizer import build_optimizer, clip_gradients, set_learning_rate
config = TrainingConfig(embedding_size=4, hidden_size=6, attention_size=3, clip_norm=1)
network = build_san(config, channels=8, vocabulary_size=9, answers=5).train()
optimizer = build_optimizer(network, config)
set_learning_rate(optimizer, config, 1)
optimizer.zero_grad()
rows = torch.tensor([0, 0])
network(torch.ones(1, 4, 8), rows, torch.tensor([[1, 2]]), rows).sum().backward()
clip_gradients(network, config)
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("question_encoder", ["lstm", "cnn"])
def test_every_weight_is_trained_once(question_encoder: str) -> None:
    config = _config(question_encoder=question_encoder, weight_decay=0.1)
    network = _network(config)
    found = [id(weight) for group in build_optimizer(network, config).param_groups for weight in group["params"]]
    assert sorted(found) == sorted(id(weight) for weight in network.parameters())


def test_only_the_table_of_words_is_spared_weight_decay() -> None:
    config = _config(weight_decay=0.1, embedding_init="pretrained")
    network = build_san(config, channels=8, vocabulary_size=9, answers=5, vectors=torch.randn(9, 7))
    spared = [g["params"] for g in build_optimizer(network, config).param_groups if g["weight_decay"] == 0]
    assert [[tuple(weight.shape) for weight in weights] for weights in spared] == [[(9, 7)]]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schedule": "constant"}, [1, 1, 1, 1, 1, 1]),
        ({"schedule": "step", "step_epochs": 2, "step_factor": 0.5}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ({"schedule": "step", "step_epochs": 9}, [1, 1, 1, 1, 1, 1]),
        ({"schedule": "step", "step_epochs": 1, "step_factor": 1}, [1, 1, 1, 1, 1, 1]),
        (
            {"schedule": "cosine"},
            [1, (2 + math.sqrt(3)) / 4, 0.75, 0.5, 0.25, (2 - math.sqrt(3)) / 4],  # cos of multiples of 30 degrees
        ),
    ],
)
def test_learning_rate_follows_its_schedule(changes: dict[str, float | str], expected: list[float]) -> None:
    config = _config(epochs=6, learning_rate=0.02, **changes)
    factors = [learning_rate_factor(config, epoch) for epoch in range(1, 7)]
    assert factors == pytest.approx(expected)
    optimizer = build_optimizer(_network(config), config)
    for epoch in (4, 1, 6):  # in any order: nothing adds up
        set_learning_rate(optimizer, config, epoch)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.02 * expected[epoch - 1]] * 2)


@pytest.mark.parametrize("epochs", [1, 2, 300])
@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
def test_first_epoch_has_the_whole_learning_rate_and_the_last_some(schedule: str, epochs: int) -> None:
    config = _config(schedule=schedule, epochs=epochs, step_factor=0.5)
    assert learning_rate_factor(config, 1) == 1
    assert 0 < learning_rate_factor(config, epochs) <= 1


def _norm(*gradients: Tensor) -> float:
    return math.sqrt(sum(float(gradient.double().square().sum()) for gradient in gradients))


def _globally(gradients: dict[str, Tensor], limit: float) -> dict[str, Tensor]:
    scale = min(1.0, limit / _norm(*gradients.values()))
    return {name: gradient * scale for name, gradient in gradients.items()}


def _by_tensor(gradients: dict[str, Tensor], limit: float) -> dict[str, Tensor]:
    return {name: gradient * min(1.0, limit / _norm(gradient)) for name, gradient in gradients.items()}


@pytest.mark.parametrize("limit", [0.1, 3.0, 1e4])  # 3 lies between the norms of the tensors
@pytest.mark.parametrize(("clip_by", "clip"), [("global", _globally), ("tensor", _by_tensor)])
def test_gradients_longer_than_the_limit_are_shortened_to_it(
    clip_by: str, clip: Callable[[dict[str, Tensor], float], dict[str, Tensor]], limit: float
) -> None:
    config = _config(clip_norm=limit, clip_by=clip_by)
    network = _network(config)
    expected = clip(_gradients(network), limit)
    clip_gradients(network, config)
    for name, gradient in _gradients(network).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("clip_by", ["global", "tensor"])
def test_limit_of_zero_clips_nothing(clip_by: str) -> None:
    config = _config(clip_norm=0, clip_by=clip_by)
    network = _network(config)
    before = _gradients(network)
    clip_gradients(network, config)
    after = _gradients(network)
    assert all(torch.equal(gradient, after[name]) for name, gradient in before.items())


def test_weights_without_a_gradient_are_left_alone() -> None:
    config = _config(clip_norm=0.1, clip_by="tensor")
    network = build_san(config, channels=8, vocabulary_size=9, answers=5)
    clip_gradients(network, config)
    assert _gradients(network) == {}
