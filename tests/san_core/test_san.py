import numpy as np
import pytest
import torch

from san_core.config import TrainingConfig
from san_core.models.image_encoder import ImageEncoder
from san_core.models.san import SAN, build_san


def _network(**changes: float) -> SAN:
    torch.manual_seed(0)
    sizes: dict[str, float] = {"hops": 2, "dropout": 0.5, "embedding_size": 4, "hidden_size": 6, "attention_size": 3}
    return build_san(TrainingConfig.from_dict(sizes | changes), channels=8, vocabulary_size=9, answers=5)


def test_shared_images_and_questions_give_the_logits_of_one_row_each() -> None:
    network = _network().eval()
    images = torch.randn(3, 4, 8)
    tokens = torch.tensor([[2, 3, 4], [5, 0, 0]])
    image_rows, question_rows = torch.tensor([2, 0, 0, 1, 2]), torch.tensor([0, 1, 0, 1, 0])
    together = network(images, image_rows, tokens, question_rows)

    every_row = torch.arange(5)
    repeated = network(images[image_rows], every_row, tokens[question_rows], every_row)
    torch.testing.assert_close(together, repeated)

    one = torch.zeros(1, dtype=torch.int64)
    for row in range(5):
        image, question = images[image_rows[row]][None], tokens[question_rows[row]][None]
        torch.testing.assert_close(together[row], network(image, one, question, one)[0])


def test_shared_rows_get_the_gradients_of_one_row_each() -> None:
    network = _network(dropout=0)
    images, tokens = torch.randn(2, 4, 8), torch.tensor([[2, 3], [4, 0]])
    image_rows, question_rows, rows = torch.tensor([0, 0, 1]), torch.tensor([1, 0, 1]), torch.arange(3)
    shared = network(images, image_rows, tokens, question_rows).square().sum()
    repeated = network(images[image_rows], rows, tokens[question_rows], rows).square().sum()
    parameters = list(network.parameters())
    torch.testing.assert_close(torch.autograd.grad(shared, parameters), torch.autograd.grad(repeated, parameters))


def test_logits_are_a_linear_function_of_the_last_query_of_projected_regions() -> None:
    network = _network().eval()
    features, one, tokens = torch.randn(1, 4, 8), torch.zeros(1, dtype=torch.int64), torch.tensor([[2, 7]])
    with torch.no_grad():
        found = network(features, one, tokens, one)
        weight, bias = network.project.weight.numpy(), network.project.bias.numpy()
        regions = np.tanh(features.numpy() @ weight.T + bias)
        query, _ = network.attention(torch.from_numpy(regions), network.question_encoder(tokens))
        expected = query.numpy() @ network.classify.weight.numpy().T + network.classify.bias.numpy()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hops", [1, 3])
def test_sizes_follow_the_configuration(hops: int) -> None:
    network = _network(hops=hops, embedding_size=7, hidden_size=10, attention_size=2)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["question_encoder.embedding.weight"] == (9, 7)
    assert shapes["project.weight"] == (10, 8)
    assert shapes["classify.weight"] == (5, 10)
    assert shapes["attention.hops.0.region.weight"] == (2, 10)
    assert len({name.split(".")[2] for name in shapes if name.startswith("attention.hops.")}) == hops


def test_network_with_an_image_encoder_takes_pixels() -> None:
    encoder = ImageEncoder(torch.nn.Conv2d(3, 8, 32, stride=32), mean=(0.5,) * 3, std=(0.25,) * 3)
    config = TrainingConfig(embedding_size=4, hidden_size=6, attention_size=3)
    with_encoder = build_san(config, channels=8, vocabulary_size=9, answers=5, image_encoder=encoder).eval()
    without = _network()
    without.load_state_dict({k: v for k, v in with_encoder.state_dict().items() if not k.startswith("image_encoder.")})
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    rows, tokens = torch.tensor([1, 0]), torch.tensor([[2], [3]])
    expected = without.eval()(encoder(pixels), rows, tokens, rows)
    torch.testing.assert_close(with_encoder(pixels, rows, tokens, rows), expected)


def test_dropout_on_the_last_query_acts_in_training_only() -> None:
    network = _network(dropout=0.9, hidden_size=64)
    inputs = torch.randn(1, 4, 8), torch.zeros(1, dtype=torch.int64), torch.tensor([[2, 7]]), torch.zeros(1).long()
    assert torch.equal(network.eval()(*inputs), network.eval()(*inputs))
    assert not torch.equal(network.train()(*inputs), network.train()(*inputs))
