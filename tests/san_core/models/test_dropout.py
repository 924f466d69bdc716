import pytest
import torch

from san_core.models.dropout import ChannelDropout, Dropout

SHARES = [0.1, 0.25, 0.5, 0.7, 0.9]


def test_evaluation_leaves_activations_alone() -> None:
    activations = torch.randn(3, 7)
    assert torch.equal(Dropout(0.5).eval()(activations), activations)


def test_share_of_zero_leaves_activations_alone_in_training() -> None:
    activations = torch.randn(3, 7)
    assert torch.equal(Dropout(0.0).train()(activations), activations)


@pytest.mark.parametrize("share", SHARES)
def test_share_of_activations_is_dropped(share: float) -> None:
    torch.manual_seed(0)
    dropped = Dropout(share).train()(torch.ones(80_000)) == 0
    assert dropped.float().mean().item() == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("share", SHARES)
def test_every_place_is_dropped_equally_often(share: float) -> None:
    """Eight neighbours share one draw of 64 bits: none of them may be worse off."""
    torch.manual_seed(0)
    dropped = Dropout(share).train()(torch.ones(20_000, 16)) == 0
    torch.testing.assert_close(dropped.float().mean(dim=0), torch.full((16,), share), atol=0.02, rtol=0)


@pytest.mark.parametrize("share", SHARES)
def test_expected_activation_is_unchanged(share: float) -> None:
    torch.manual_seed(0)
    mean = Dropout(share).train()(torch.ones(400_000)).mean().item()
    deviation = (share / (1 - share) / 400_000) ** 0.5
    assert mean == pytest.approx(1, abs=5 * deviation)


@pytest.mark.parametrize("share", SHARES)
def test_kept_activations_are_scaled_as_nn_dropout_does(share: float) -> None:
    torch.manual_seed(0)
    kept = Dropout(share).train()(torch.full((5000,), 3.0)).unique()
    expected = torch.tensor([0, 3 / (1 - share)])
    torch.testing.assert_close(kept, expected, rtol=0.03, atol=0)  # the share is a multiple of 1/256


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    dropped = (Dropout(0.5).train()(torch.ones(50_000, 8)) == 0).float()
    assert torch.corrcoef(dropped.T).fill_diagonal_(0).abs().max() < 0.03


def test_gradient_passes_where_activations_passed() -> None:
    torch.manual_seed(0)
    activations = torch.randn(40, 25, requires_grad=True)
    result = Dropout(0.4).train()(activations)
    result.sum().backward()
    assert activations.grad is not None
    torch.testing.assert_close(activations.grad * activations.detach(), result.detach())
    assert 0 < (activations.grad == 0).sum() < activations.numel()


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5, 7), (2, 4), (1, 9)])
def test_any_number_of_elements_keeps_its_shape(shape: tuple[int, ...]) -> None:
    assert Dropout(0.5).train()(torch.ones(shape)).shape == shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_keep_their_type(dtype: torch.dtype) -> None:
    assert Dropout(0.5).train()(torch.ones(9, dtype=dtype)).dtype == dtype


def test_seed_decides_what_is_dropped() -> None:
    dropout, ones = Dropout(0.5).train(), torch.ones(200)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(dropout(ones))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_a_weight_is_left_alone_in_evaluation_and_with_a_share_of_zero() -> None:
    weight = torch.randn(3, 8)
    assert ChannelDropout(0.5).eval()(weight) is weight
    assert ChannelDropout(0.0).train()(weight) is weight


@pytest.mark.parametrize("share", SHARES)
def test_columns_of_the_weight_stand_for_channels_of_the_input(share: float) -> None:
    torch.manual_seed(0)
    dropout, weight, features = (
        ChannelDropout(share).train(),
        torch.randn(4, 2000).double(),
        torch.randn(6, 2000).double(),
    )
    random_bytes = torch.randint(256, (2000,), dtype=torch.uint8)
    threshold = round(share * 256)
    kept = torch.tensor([256 / (256 - threshold) if byte >= threshold else 0 for byte in random_bytes.tolist()])
    torch.testing.assert_close(features @ dropout(weight, random_bytes).T, (features * kept) @ weight.T)
    assert (kept == 0).float().mean().item() == pytest.approx(share, abs=0.05)


def test_a_dropped_column_gets_no_gradient_and_a_kept_one_the_scaled_gradient() -> None:
    weight = torch.randn(3, 8, requires_grad=True)
    random_bytes = torch.tensor([0, 127, 128, 255, 64, 200, 1, 129], dtype=torch.uint8)
    factors = torch.tensor([0.0, 0, 2, 2, 0, 2, 0, 2])
    dropped = ChannelDropout(0.5).train()(weight, random_bytes)
    assert torch.equal(dropped, weight * factors)
    grad = torch.randn(3, 8)
    assert torch.equal(*torch.autograd.grad(dropped, weight, grad), grad * factors)


def test_without_random_bytes_they_are_drawn() -> None:
    torch.manual_seed(0)
    dropped = ChannelDropout(0.75).train()(torch.ones(2, 20_000))
    assert torch.equal(dropped[0], dropped[1])
    assert (dropped[0] == 0).float().mean().item() == pytest.approx(0.75, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
