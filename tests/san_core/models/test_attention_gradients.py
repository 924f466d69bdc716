"""Stacked attention's gradients, through all its weights and in bfloat16, beside those of `reference_hops`."""

import pytest
import torch
from torch import Tensor

from san_core.models.hops import HopOptions, HopWeights
from san_core.models.stacked_attention import AttentionHop, StackedAttention, reference_hops

IMAGES, B, R, H, K = 4, 6, 5, 8, 7
SHARED = torch.tensor([2, 0, 0, 3, 2, 2])  # no question is about image 1

ROWS = pytest.mark.parametrize("rows", [None, SHARED], ids=["own image", "shared images"])
BOTH_FORMS = pytest.mark.parametrize("attention", ["paper", "bounded"])


def _stack(attention: str, dropout: float = 0.0, hops: int = 2, dtype: torch.dtype = torch.float64) -> StackedAttention:
    torch.manual_seed(0)
    stack = StackedAttention(num_hops=hops, hidden_size=H, attention_size=K, dropout=dropout, attention=attention)
    return stack.to(dtype)


def _inputs(rows: Tensor | None, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    images = torch.randn(B if rows is None else IMAGES, R, H, dtype=dtype, requires_grad=True)
    return images, torch.randn(B, H, dtype=dtype, requires_grad=True)


def _reference(
    stack: StackedAttention, images: Tensor, query: Tensor, rows: Tensor | None, masks: list[Tensor | None]
) -> Tensor:
    """The last query by the plain equations with the stack's weights; the masks [B, R, K] are scaled already."""
    hops = [hop for hop in stack.hops if isinstance(hop, AttentionHop)]
    weights = HopWeights(
        torch.cat([hop.region.weight for hop in hops]),
        torch.stack([hop.query.weight for hop in hops]),
        torch.stack([hop.query.bias for hop in hops]),
        torch.cat([hop.score.weight for hop in hops]),
        torch.cat([hop.score.bias for hop in hops]),
    )
    return reference_hops(HopOptions(rows, masks, hops[0].bounded), images, query, weights)[0]


def _gradients(result: Tensor, stack: StackedAttention, *inputs: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(2)
    direction = torch.randn(result.shape, dtype=torch.float64).to(result.dtype)
    names = ["images", "query", *dict(stack.named_parameters())]
    found = torch.autograd.grad((result * direction).sum(), [*inputs, *stack.parameters()])
    return dict(zip(names, found, strict=True))


@ROWS
@BOTH_FORMS
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_result_and_gradients_are_those_of_the_reference(attention: str, rows: Tensor | None, hops: int) -> None:
    stack, (images, query) = _stack(attention, hops=hops), _inputs(rows)
    found, _ = stack(images, query, rows)
    expected = _reference(stack, images, query, rows, [None] * hops)
    # Softmax is worked out in float32, whatever the type.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    gradients = _gradients(found, stack, images, query), _gradients(expected, stack, images, query)
    for name, ours in gradients[0].items():
        torch.testing.assert_close(ours, gradients[1][name], rtol=1e-5, atol=1e-5, msg=name)


@ROWS
def test_gradients_with_dropout_are_those_of_the_reference(rows: Tensor | None) -> None:
    stack, (images, query) = _stack("paper", dropout=0.5).train(), _inputs(rows)
    torch.manual_seed(3)
    found, _ = stack(images, query, rows)
    torch.manual_seed(3)
    masks = [hop.dropout(torch.ones(B, R, K, dtype=torch.float64)) for hop in stack.hops]
    assert set(torch.stack(masks).unique().tolist()) == {0, 2}
    expected = _reference(stack, images, query, rows, masks)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    gradients = _gradients(found, stack, images, query), _gradients(expected, stack, images, query)
    for name, ours in gradients[0].items():
        torch.testing.assert_close(ours, gradients[1][name], rtol=1e-5, atol=1e-5, msg=name)


@ROWS
@BOTH_FORMS
def test_bfloat16_differs_from_double_precision_by_its_rounding_only(attention: str, rows: Tensor | None) -> None:
    stack, (images, query) = _stack(attention, dtype=torch.float32), _inputs(rows, torch.bfloat16)
    found, _ = stack(images, query, rows)
    assert found.dtype == torch.bfloat16
    ours = _gradients(found, stack, images, query)
    exact_images, exact_query = (value.detach().double().requires_grad_() for value in (images, query))
    exact = _stack(attention)
    exact.load_state_dict(stack.state_dict())
    expected = _reference(exact, exact_images, exact_query, rows, [None] * 2)
    theirs = _gradients(expected, exact, exact_images, exact_query)
    for name, gradient in ours.items():
        difference = (gradient.double() - theirs[name]).norm() / theirs[name].norm()
        assert difference < 0.05 or name.endswith("score.bias"), (
            name,
            difference,
        )  # that one's gradient is 0, up to rounding


@ROWS
def test_image_without_questions_gets_no_gradient(rows: Tensor | None) -> None:
    stack, (images, query) = _stack("paper"), _inputs(rows)
    gradient = _gradients(stack(images, query, rows)[0], stack, images, query)["images"]
    images_of_questions = set(range(B) if rows is None else SHARED.tolist())
    assert [i for i, part in enumerate(gradient) if part.abs().sum() > 0] == sorted(images_of_questions)
