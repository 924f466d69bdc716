import pytest
import torch

from san_core.models.activations import tanh, tanh_

SIZES = [1, 7, 2**17, 2**17 + 1, 300_000]  # blocks are of 2^17


@pytest.mark.parametrize("size", SIZES)
def test_bfloat16_tanh_is_the_exact_one_rounded(size: int) -> None:
    torch.manual_seed(0)
    x = (torch.randn(size) * 2).bfloat16()
    expected = x.double().tanh().bfloat16()
    # Where the exact value lies almost between two bfloat16 numbers, float32 may fall on the other side.
    assert (tanh_(x) != expected).float().mean() < 1e-3
    torch.testing.assert_close(x, expected, rtol=2**-7, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_types_get_the_tanh_of_torch(dtype: torch.dtype) -> None:
    x = torch.randn(50, dtype=dtype)
    expected = torch.tanh(x)
    assert torch.equal(tanh_(x), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_mask_is_zero_and_the_rest_as_without_a_mask(dtype: torch.dtype, size: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(size).to(dtype)
    mask = torch.rand(size) < 0.5
    everything, some = tanh_(x.clone()), tanh_(x.clone(), mask.to(dtype))
    assert torch.equal(some[mask], everything[mask])
    assert not some[~mask].any()


def test_tanh_writes_over_its_argument() -> None:
    x = torch.randn(9)
    assert tanh_(x).data_ptr() == x.data_ptr()
    y = torch.zeros(3, requires_grad=True) + 1
    assert tanh(y).data_ptr() == y.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradient_is_one_minus_the_square(dtype: torch.dtype) -> None:
    x = torch.linspace(-3, 3, 13, dtype=dtype, requires_grad=True)
    tanh(x * 1).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 1 / torch.cosh(x.detach()) ** 2)
