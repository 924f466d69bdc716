import numpy as np
import pytest
import torch

from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.models.image_encoder import ImageEncoder
from san_core.models.question_encoder import CNNQuestionEncoder, LSTMQuestionEncoder, standardised
from san_core.models.san import SAN, build_san


def _network(**changes: float | str) -> SAN:
    torch.manual_seed(0)
    sizes: dict[str, float | str] = {
        "hops": 2,
        "dropout": 0.5,
        "embedding_size": 4,
        "hidden_size": 6,
        "attention_size": 3,
    }
    return build_san(TrainingConfig.from_dict(sizes | changes), channels=8, vocabulary_size=9, answers=5)


@pytest.mark.parametrize("question_encoder", ["lstm", "cnn"])
def test_shared_images_and_questions_give_the_logits_of_one_row_each(question_encoder: str) -> None:
    network = _network(question_encoder=question_encoder).eval()
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


@pytest.mark.parametrize("image_rows", [[2, 0, 1], [1, 1, 0], [0, 1, 2]], ids=["one each", "one unused", "in order"])
def test_as_many_images_as_rows_may_be_asked_about_in_any_way(image_rows: list[int]) -> None:
    network = _network().eval()
    images, tokens = torch.randn(3, 4, 8), torch.tensor([[2, 3, 4], [5, 0, 0]])
    question_rows, one = [1, 0, 1], torch.zeros(1, dtype=torch.int64)
    found, maps = network.attend(images, torch.tensor(image_rows), tokens, torch.tensor(question_rows))
    for row, (image, question) in enumerate(zip(image_rows, question_rows, strict=True)):
        alone, alone_maps = network.attend(images[image][None], one, tokens[question][None], one)
        torch.testing.assert_close(found[row], alone[0])
        for hop, expected in zip(maps, alone_maps, strict=True):
            torch.testing.assert_close(hop[row], expected[0])


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


def test_configuration_chooses_question_encoder_and_attention() -> None:
    config = {"question_encoder": "cnn", "attention": "bounded", "hidden_size": 10, "hops": 3}
    chosen, plain = _network(**config), _network()
    assert isinstance(chosen.question_encoder, CNNQuestionEncoder)
    assert isinstance(plain.question_encoder, LSTMQuestionEncoder)
    assert [hop.bounded for hop in chosen.attention.hops] == [True] * 3
    assert [hop.bounded for hop in plain.attention.hops] == [False] * 2
    assert chosen.question_encoder(torch.tensor([[2, 3, 4]])).shape == (1, 10)


def test_word_vectors_are_used_where_the_configuration_asks_for_them() -> None:
    vectors = torch.randn(9, 7)
    sizes = {"channels": 8, "vocabulary_size": 9, "answers": 5}
    pretrained = build_san(TrainingConfig(embedding_size=4, embedding_init="pretrained"), vectors=vectors, **sizes)
    assert torch.equal(pretrained.question_encoder.embedding.weight, standardised(vectors))
    random = build_san(TrainingConfig(embedding_size=4), vectors=vectors, **sizes)
    assert random.question_encoder.embedding.weight.shape == (9, 4)


def test_word_vectors_that_are_missing_are_an_error() -> None:
    with pytest.raises(InputError, match="embedding_init pretrained needs word vectors, but the data have none"):
        _network(embedding_init="pretrained")


@pytest.mark.parametrize(("batch_norm", "trained"), [("frozen", False), ("trained", True)])
def test_configuration_tells_the_image_encoder_whether_to_train_batch_normalisation(
    batch_norm: str, trained: bool
) -> None:
    encoder = ImageEncoder(torch.nn.BatchNorm2d(3), mean=(0.5,) * 3, std=(0.25,) * 3)
    config = TrainingConfig(embedding_size=4, hidden_size=6, attention_size=3, batch_norm=batch_norm)
    build_san(config, channels=3, vocabulary_size=9, answers=5, image_encoder=encoder).train()
    assert encoder.layers.training == trained


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


@pytest.mark.parametrize("with_encoder", [False, True])
def test_feature_dropout_zeroes_and_scales_channels_of_all_images_in_training_only(with_encoder: bool) -> None:
    layers = torch.nn.Conv2d(3, 8, 32, stride=32)
    encoder = ImageEncoder(layers, mean=(0.5,) * 3, std=(0.25,) * 3) if with_encoder else None
    config = TrainingConfig(embedding_size=4, hidden_size=6, attention_size=3, dropout=0, feature_dropout=0.75)
    network = build_san(config, channels=8, vocabulary_size=9, answers=5, image_encoder=encoder)
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8) if with_encoder else torch.randn(2, 4, 8)
    rows, tokens = torch.tensor([1, 0]), torch.tensor([[2], [3]])
    random_bytes = torch.tensor([0, 255, 191, 192, 100, 200, 7, 8], dtype=torch.uint8)
    found = network.train()(images, rows, tokens, rows, random_bytes)

    plain = _network(dropout=0)
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("image_encoder.")})
    features = images if encoder is None else encoder(images)
    dropped = features * torch.tensor([0.0, 4, 0, 4, 0, 4, 0, 0])
    torch.testing.assert_close(found, plain(dropped, rows, tokens, rows))
    torch.testing.assert_close(network.eval()(images, rows, tokens, rows), plain(features, rows, tokens, rows))


def test_dropout_on_the_last_query_acts_in_training_only() -> None:
    network = _network(dropout=0.9, hidden_size=64)
    inputs = torch.randn(1, 4, 8), torch.zeros(1, dtype=torch.int64), torch.tensor([[2, 7]]), torch.zeros(1).long()
    assert torch.equal(network.eval()(*inputs), network.eval()(*inputs))
    assert not torch.equal(network.train()(*inputs), network.train()(*inputs))
