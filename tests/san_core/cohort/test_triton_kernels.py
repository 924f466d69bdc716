"""The fused kernels beside the plain operations: in Triton's interpreter, and compiled for a GPU that is not there."""

import importlib.util
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")

INTERPRETED = """
import torch
from san_core.cohort import kernels, triton_kernels as fused

torch.manual_seed(0)
same = lambda found, expected: torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

for members, images, questions, regions, size, hops in ((2, 3, 2, 5, 24, 2), (1, 4, 1, 9, 16, 1), (3, 2, 3, 4, 8, 3)):
    slots = images * questions
    mapped = torch.randn(members, images, regions, hops, size)
    about, w_score, b_score = torch.randn(members, slots, size), torch.randn(members, hops, size), torch.randn(members, hops)
    mask = kernels.Mask(
        torch.randint(0, 256, (images, questions, regions, size), dtype=torch.uint8),
        torch.tensor([100, 0, 255][:members], dtype=torch.int32),
    )
    for drops in (None, mask):
        operands = mapped[:, :, :, -1], about, w_score[:, -1], b_score[:, -1], drops
        same(fused.attention_scores(*operands), kernels.attention_scores(*operands))
        grad_scores = torch.randn(members, slots, regions)
        first, second = mapped.clone(), mapped.clone()
        found = fused.attention_scores_backward(grad_scores, first[:, :, :, -1], about, w_score[:, -1], drops)
        expected = kernels.attention_scores_backward(grad_scores, second[:, :, :, -1], about, w_score[:, -1], drops)
        for one, other in zip((*found, first), (*expected, second)):
            same(one, other)
    hidden = 12
    grad, regions_ = torch.randn(members, images * regions, hidden), torch.rand(members, images * regions, hidden)
    looks = torch.rand(members * images, questions * hops, regions)
    grads = torch.randn(members * images, questions * hops, hidden)
    by_image = grad.view(members * images, regions, hidden) + looks.transpose(1, 2) @ grads
    expected = by_image.view_as(grad) * (1 - regions_ ** 2)
    same(fused.regions_backward(grad.clone(), regions_, looks, grads), expected)

members, steps, rows, size = 2, 3, 5, 12
bias, real = torch.randn(members, 4 * size), torch.tensor([True, False, True, True, True])
for by_hidden in (None, torch.randn(members, rows, 4 * size)):
    gates = torch.randn(members, steps, rows, 4 * size)
    states = torch.randn(2, members, steps + 1, rows, size)
    grad_hidden, grad_cell = torch.randn(2, members, rows, size)
    results = []
    for module in (fused, kernels):
        own_gates, own_grad, own = gates.clone(), grad_cell.clone(), kernels.CellStates(*states.clone())
        module.lstm_cell(own_gates[:, 1], by_hidden, bias, real, own, 1)
        activated = own_gates.clone()
        module.lstm_cell_backward(own_gates[:, 1], grad_hidden, own_grad, own, 1)
        results.append((activated, own_gates, own_grad, *own))
    for one, other in zip(*results):
        same(one, other)

words = torch.tensor([3, 0, 1, 1, 6])
same(fused.one_hot(words, 7, torch.float32), kernels.one_hot(words, 7, torch.float32))

from tests.san_core.cohort.cohorts import cohort, configs_of
for settings in ({"weight_decay": 0.01}, {"clip_norm": 0.1}):
    results = []
    for use in (True, False):
        made = cohort(configs_of(3, **settings), dtype=torch.float32, working=torch.bfloat16)
        active = torch.tensor([[True], [False], [True]])
        for _ in range(2):
            grads = torch.randn(made.network.weights.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
            if use:
                fused.rmsprop(made.optimizer, grads, made.optimizer._clip(grads), active)
            else:
                made.optimizer.step(grads, active)
        assert (made.network.working - made.network.weights).abs().max() < 0.01 * made.network.weights.abs().max()
        results.append((made.network.weights, made.optimizer.square_avg, made.optimizer.momentum_buffer))
    for one, other in zip(*results):
        same(one, other)
print("same")
"""


def test_interpreted_kernels_do_what_the_plain_operations_do() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(["", *sys.path])}
    command = [sys.executable, "-c", INTERPRETED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "same", done.stderr
