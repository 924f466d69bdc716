"""The hops' gradients, worked out by hand, beside those that autograd finds for the paper's equations."""

import pytest
import torch
from torch import Tensor

from san_core.models.hops import Plan, look

QUESTIONS, IMAGES, REGIONS, HIDDEN, ATTENTION = 5, 3, 4, 6, 7


def _by_the_paper(plan: Plan, images: Tensor, query: Tensor, *weights: Tensor) -> tuple[Tensor, list[Tensor]]:
    """h = tanh(W_I v (+) (W_Q u + b)); p = softmax(w h + b); u = sum_i p_i v_i + u, hop by hop."""
    region, asked, bias, score, level = weights
    regions = images if plan.rows is None else images[plan.rows]
    maps = []
    for k, kept in enumerate(plan.kept):
        own = region[k * ATTENTION : (k + 1) * ATTENTION]
        h = torch.tanh(regions @ own.T + (query @ asked[k].T + bias[k]).unsqueeze(1))
        h = h if kept is None else h * kept
        scores = h @ score[k] + level[k]
        attention = (scores.tanh() if plan.bounded else scores).softmax(dim=1)
        maps.append(attention)
        query = (attention.unsqueeze(2) * regions).sum(dim=1) + query
    return query, maps


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_hops_and_their_gradients_are_those_of_the_paper(shared: bool, hops: int, dropped: bool, bounded: bool) -> None:
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
    plan, direction = Plan(rows, masks, bounded), torch.randn(QUESTIONS, HIDDEN)
    (found, found_maps), (expected, expected_maps) = look(plan, *inputs), _by_the_paper(plan, *inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found_maps, expected_maps, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad((last * direction).sum(), inputs) for last in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)
