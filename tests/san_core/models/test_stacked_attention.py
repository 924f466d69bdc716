import re
from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from san_core.models.stacked_attention import AttentionHop, StackedAttention

B, R, H, K = 3, 5, 4, 6
Array = NDArray[np.float64]


def _inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(B, R, H, generator=generator), torch.randn(B, H, generator=generator)


def _hop_by_hand(hop: AttentionHop, regions: Array, query: Array) -> tuple[Array, Array]:
    """Equations 15 to 18 of the paper, one question and one region at a time."""
    weights = {name: value.detach().double().numpy() for name, value in hop.named_parameters()}
    queries, maps = np.zeros_like(query), np.zeros((len(regions), regions.shape[1]))
    for b, (v, u) in enumerate(zip(regions, query, strict=True)):
        scores = np.zeros(len(v))
        for i, region in enumerate(v):
            h = np.tanh(weights["region.weight"] @ region + weights["query.weight"] @ u + weights["query.bias"])
            scores[i] = (weights["score.weight"] @ h + weights["score.bias"]).item()
        if hop.bounded:
            scores = np.tanh(scores)
        maps[b] = np.exp(scores) / np.exp(scores).sum()
        queries[b] = sum(p * region for p, region in zip(maps[b], v, strict=True)) + u
    return queries, maps


@pytest.mark.parametrize("bounded", [False, True])
def test_hop_computes_the_papers_equations_or_those_of_the_authors_code(bounded: bool) -> None:
    torch.manual_seed(0)
    hop = AttentionHop(hidden_size=H, attention_size=K, dropout=0.5, bounded=bounded).eval()
    with torch.no_grad():
        hop.score.weight *= 5  # scores large enough for tanh to show
    regions, query = _inputs()
    found_query, found_map = hop(regions, query)
    expected_query, expected_map = _hop_by_hand(hop, regions.double().numpy(), query.double().numpy())
    np.testing.assert_allclose(found_query.detach().numpy(), expected_query, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found_map.detach().numpy(), expected_map, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_each_hop_starts_from_the_query_of_the_last(hops: int) -> None:
    torch.manual_seed(0)
    attention = StackedAttention(num_hops=hops, hidden_size=H, attention_size=K, dropout=0.5).eval()
    regions, question = _inputs()
    found_query, found_maps = attention(regions, question)

    query, maps = question.double().numpy(), []
    for hop in attention.hops:
        assert isinstance(hop, AttentionHop)
        query, attended = _hop_by_hand(hop, regions.double().numpy(), query)
        maps.append(attended)
    np.testing.assert_allclose(found_query.detach().numpy(), query, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(torch.stack(found_maps).detach().numpy(), np.stack(maps), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("attention", "is_bounded"), [("paper", False), ("bounded", True)])
def test_bounded_attention_never_prefers_a_region_more_than_e_squared_times(attention: str, is_bounded: bool) -> None:
    torch.manual_seed(0)
    stack = StackedAttention(num_hops=3, hidden_size=H, attention_size=K, dropout=0.0, attention=attention)
    with torch.no_grad():
        for hop in stack.hops:
            assert isinstance(hop, AttentionHop)
            hop.score.weight *= 1000
    _, maps = stack(*_inputs())
    for attended in maps:
        assert bool((attended.amax(dim=1) <= np.e**2 * 1.0001 * attended.amin(dim=1)).all()) == is_bounded


@pytest.mark.parametrize("training", [True, False])
def test_attention_over_regions_sums_to_one(training: bool) -> None:
    attention = StackedAttention(num_hops=2, hidden_size=H, attention_size=K, dropout=0.5).train(training)
    _, maps = attention(*_inputs())
    for attended in maps:
        assert attended.shape == (B, R)
        assert (attended > 0).all()
        torch.testing.assert_close(attended.sum(dim=1), torch.ones(B))


@pytest.mark.parametrize("hops", [2, 3])
def test_hops_do_not_share_weights(hops: int) -> None:
    attention = StackedAttention(num_hops=hops, hidden_size=H, attention_size=K, dropout=0.0)
    for one, other in combinations(attention.hops, 2):
        first, second = dict(one.named_parameters()), dict(other.named_parameters())
        assert first.keys() == second.keys()
        for name, weight in first.items():
            assert weight.data_ptr() != second[name].data_ptr()
            assert not torch.equal(weight, second[name])
    one_hop = K * H + (K * H + K) + (K + 1)
    assert sum(p.numel() for p in attention.parameters()) == hops * one_hop


def test_dropout_acts_in_training_only() -> None:
    attention = StackedAttention(num_hops=1, hidden_size=H, attention_size=K, dropout=0.5)
    inputs = _inputs()
    torch.manual_seed(0)
    calm = [attention.eval()(*inputs)[0] for _ in range(2)]
    noisy = [attention.train()(*inputs)[0] for _ in range(2)]
    assert torch.equal(*calm)
    assert not torch.equal(*noisy)


def test_an_unknown_form_of_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="^attention must be paper or bounded, but got bouned$"):
        StackedAttention(num_hops=1, hidden_size=H, attention_size=K, dropout=0.0, attention="bouned")


@pytest.mark.parametrize(
    ("regions", "query"), [([B, R, H + 1], [B, H]), ([B, R, H], [B, H + 1]), ([B, H], [B, H]), ([B, R, H], [H])]
)
def test_shapes_that_do_not_fit_the_hops_are_refused(regions: list[int], query: list[int]) -> None:
    message = f"regions must be [I, R, {H}] and query [B, {H}], but got {regions} and {query}"
    for network in (
        AttentionHop(hidden_size=H, attention_size=K, dropout=0.0),
        StackedAttention(num_hops=1, hidden_size=H, attention_size=K, dropout=0.0),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            network(torch.zeros(regions), torch.zeros(query))


@pytest.mark.parametrize(
    ("image_rows", "message"),
    [
        (None, "regions must have a row for each of the 2 queries, but got 3"),
        ([0, 1, 2], "image_rows must have a row for each of the 2 queries, but got 3"),
    ],
)
def test_a_query_without_its_image_is_refused(image_rows: list[int] | None, message: str) -> None:
    attention = StackedAttention(num_hops=1, hidden_size=H, attention_size=K, dropout=0.0)
    regions, query = _inputs()
    with pytest.raises(ValueError, match=f"^{message}$"):
        attention(regions, query[:2], None if image_rows is None else torch.tensor(image_rows))
