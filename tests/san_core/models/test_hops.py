"""The fast hops and their hand-written gradients beside the plain equations and the gradients of autograd."""

import pytest
import torch

from san_core.models.hops import HopOptions, HopWeights, apply_hops
from san_core.models.stacked_attention import reference_hops

QUESTIONS, IMAGES, REGIONS, HIDDEN, ATTENTION = 5, 3, 4, 6, 7


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_fast_hops_and_their_gradients_are_those_of_the_reference(
    shared: bool, hops: int, dropped: bool, bounded: bool
) -> None:
    torch.manual_seed(hops)
    rows = torch.tensor([0, 1, 1, 2, 0]) if shared else None
    masks = [(torch.rand(QUESTIONS, REGIONS, ATTENTION) > 0.3).float() if dropped else None for _ in range(hops)]
    shapes = [
        (IMAGES if shared else QUESTIONS, REGIONS, HIDDEN),
        (QUESTIONS, HIDDEN),
        (hops * ATTENTION, HIDDEN),
        (hops, ATTENTION, HIDDEN),
        (hops, ATTENTION),
        (hops, ATTENTION),
        (hops,),
    ]
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
    options, direction = HopOptions(rows, masks, bounded), torch.randn(QUESTIONS, HIDDEN)
    found, found_attention = apply_hops(options, *inputs[:2], HopWeights(*inputs[2:]))
    expected, expected_attention = reference_hops(options, *inputs[:2], HopWeights(*inputs[2:]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found_attention, expected_attention, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad((last * direction).sum(), inputs) for last in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)
