import pytest
import torch
from torch import Tensor, nn

from san_core.models.question_encoder import CNNQuestionEncoder, LSTMQuestionEncoder, WordEmbedding, standardised

QUESTIONS = [[4, 2, 9, 2], [3], [1, 5, 5, 5, 8, 7, 6], [4, 2], [4, 2, 8, 2]]  # some begin alike
VECTORS = torch.linspace(-1, 1, 33).reshape(11, 3)

Encoder = LSTMQuestionEncoder | CNNQuestionEncoder
BOTH = pytest.mark.parametrize("kind", [LSTMQuestionEncoder, CNNQuestionEncoder])
WITH_AND_WITHOUT_VECTORS = pytest.mark.parametrize("vectors", [None, VECTORS], ids=["random", "pretrained"])


def _encoder(kind: type[Encoder], vectors: Tensor | None = None) -> Encoder:
    torch.manual_seed(0)
    encoder = kind(vocabulary_size=11, embedding_size=6, hidden_size=9, vectors=vectors)
    if isinstance(encoder, CNNQuestionEncoder):
        nn.init.normal_(encoder.bias)
    return encoder


def _pad(questions: list[list[int]], width: int) -> Tensor:
    return torch.tensor([question + [0] * (width - len(question)) for question in questions])


def _embed(encoder: Encoder, tokens: Tensor) -> Tensor:
    """Word vectors [..., E], the plain way."""
    vectors = nn.functional.embedding(tokens, encoder.embedding.weight, padding_idx=0)
    if isinstance(encoder.embedding.project, nn.Linear):
        return vectors @ encoder.embedding.project.weight.T
    return vectors


def _by_the_textbook(encoder: Encoder) -> Tensor:
    """The questions' vectors with the encoder's own weights."""
    return _nn_lstm(encoder) if isinstance(encoder, LSTMQuestionEncoder) else _conv1d(encoder)


def _nn_lstm(encoder: LSTMQuestionEncoder) -> Tensor:
    lengths = torch.tensor([len(question) for question in QUESTIONS])
    words = _embed(encoder, _pad(QUESTIONS, 7))
    packed = nn.utils.rnn.pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
    _, (hidden, _) = encoder.lstm(packed)
    last: Tensor = hidden[0]
    return last


def _conv1d(encoder: CNNQuestionEncoder) -> Tensor:
    """One question at a time, without any padding but what a filter longer than the question needs."""
    biases = encoder.bias.split([1, 4, 4])  # 9 // 5, and halves of the rest
    vectors = []
    for question in QUESTIONS:
        words = _embed(encoder, torch.tensor(question)).T  # [E, L]
        found = []
        for n, (conv, bias) in enumerate(
            zip((encoder.unigram, encoder.bigram, encoder.trigram), biases, strict=True), start=1
        ):
            missing = max(n - len(question), 0)
            filled = torch.cat([words, torch.zeros(6, missing)], dim=1)
            found.append(torch.tanh(nn.functional.conv1d(filled, conv.weight, bias)).max(dim=1).values)
        vectors.append(torch.cat(found))
    return torch.stack(vectors)


@BOTH
@WITH_AND_WITHOUT_VECTORS
def test_result_is_that_of_the_textbook(kind: type[Encoder], vectors: Tensor | None) -> None:
    encoder = _encoder(kind, vectors)
    found = encoder(_pad(QUESTIONS, 7))
    assert found.shape == (5, 9)
    torch.testing.assert_close(found, _by_the_textbook(encoder))


@BOTH
@WITH_AND_WITHOUT_VECTORS
def test_gradients_are_those_of_the_textbook(kind: type[Encoder], vectors: Tensor | None) -> None:
    encoder = _encoder(kind, vectors)
    direction = torch.randn(len(QUESTIONS), 9)
    found = torch.autograd.grad((encoder(_pad(QUESTIONS, 7)) * direction).sum(), list(encoder.parameters()))
    expected = torch.autograd.grad((_by_the_textbook(encoder) * direction).sum(), list(encoder.parameters()))
    for name, ours, theirs in zip(dict(encoder.named_parameters()), found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_lstm_in_bfloat16_strays_from_the_textbook_by_its_rounding_only() -> None:
    encoder = _encoder(LSTMQuestionEncoder)
    direction = torch.randn(len(QUESTIONS), 9)
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(_pad(QUESTIONS, 7))
    assert found.dtype == torch.bfloat16
    expected = _by_the_textbook(encoder)
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.01)
    ours = torch.autograd.grad((found * direction).sum(), list(encoder.parameters()))
    theirs = torch.autograd.grad((expected * direction).sum(), list(encoder.parameters()))
    for name, one, other in zip(dict(encoder.named_parameters()), ours, theirs, strict=True):
        assert (one - other).norm() < 0.05 * other.norm(), name


@BOTH
def test_question_in_a_padded_batch_equals_the_question_alone(kind: type[Encoder]) -> None:
    encoder = _encoder(kind)
    alone = torch.cat([encoder(torch.tensor([question])) for question in QUESTIONS])
    torch.testing.assert_close(encoder(_pad(QUESTIONS, 7)), alone)


@BOTH
@pytest.mark.parametrize("width", [8, 20])
def test_more_padding_changes_nothing(kind: type[Encoder], width: int) -> None:
    encoder = _encoder(kind)
    assert torch.equal(encoder(_pad(QUESTIONS, width)), encoder(_pad(QUESTIONS, 7)))


@BOTH
def test_padding_has_no_say_and_learns_nothing(kind: type[Encoder]) -> None:
    encoder = _encoder(kind)
    before = encoder(_pad(QUESTIONS, 7))
    before.sum().backward()
    assert encoder.embedding.weight.grad is not None
    assert (encoder.embedding.weight.grad[0] == 0).all()
    with torch.no_grad():
        encoder.embedding.weight[0] = 100.0
    assert torch.equal(encoder(_pad(QUESTIONS, 7)), before)


@BOTH
def test_word_order_matters(kind: type[Encoder]) -> None:
    encoder = _encoder(kind)
    assert not torch.allclose(encoder(torch.tensor([[4, 2, 9]])), encoder(torch.tensor([[9, 2, 4]])))


@BOTH
def test_empty_question_has_a_vector_that_other_questions_do_not_change(kind: type[Encoder]) -> None:
    encoder = _encoder(kind)
    alone = encoder(_pad([[]], 1))
    assert alone.isfinite().all()
    torch.testing.assert_close(encoder(_pad([[], *QUESTIONS], 7))[:1], alone)


@BOTH
def test_gradients_repeat_to_the_last_bit_on_several_threads(kind: type[Encoder]) -> None:
    torch.manual_seed(0)
    encoder = kind(vocabulary_size=20, embedding_size=64, hidden_size=320)
    tokens = torch.randint(1, 20, (200, 10))
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        runs = [torch.autograd.grad(encoder(tokens).sum(), list(encoder.parameters())) for _ in range(4)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for run in runs[1:] for one, other in zip(runs[0], run, strict=True))


@pytest.mark.parametrize(
    ("hidden", "counts"), [(5, [1, 2, 2]), (6, [1, 2, 3]), (8, [1, 3, 4]), (10, [2, 4, 4]), (640, [128, 256, 256])]
)
def test_filters_over_one_two_and_three_words_share_the_question_vector(hidden: int, counts: list[int]) -> None:
    encoder = CNNQuestionEncoder(vocabulary_size=4, embedding_size=2, hidden_size=hidden)
    assert [conv.out_channels for conv in (encoder.unigram, encoder.bigram, encoder.trigram)] == counts
    assert encoder(torch.tensor([[2, 3]])).shape == (1, hidden)


def test_embedding_without_vectors_is_that_of_torch() -> None:
    torch.manual_seed(3)
    found = WordEmbedding(vocabulary_size=11, embedding_size=6)
    torch.manual_seed(3)
    expected = nn.Embedding(11, 6, padding_idx=0)
    words = torch.tensor([[2, 0], [10, 1]])
    assert torch.equal(found(words), expected(words))
    assert list(found.state_dict()) == ["weight"]


@pytest.mark.parametrize("embedding_size", [3, 6])
def test_embedding_starts_from_given_vectors_and_leaves_those_as_they_are(embedding_size: int) -> None:
    given = VECTORS.clone().double()
    embedding = WordEmbedding(vocabulary_size=11, embedding_size=embedding_size, vectors=given)
    assert embedding.weight.dtype == torch.float32
    assert torch.equal(embedding.weight, standardised(VECTORS))
    assert (embedding.weight[0] == 0).all()
    assert embedding(torch.tensor([[2], [4]])).shape == (2, 1, embedding_size)
    embedding(torch.arange(11)).sum().backward()
    with torch.no_grad():
        for weight in embedding.parameters():
            assert weight.grad is not None
            assert weight.grad.abs().sum() > 0
            weight -= weight.grad
    assert torch.equal(given, VECTORS.double())


def test_each_dimension_of_pretrained_vectors_gets_mean_0_and_standard_deviation_1() -> None:
    """That of the words; padding is none, and a dimension in which all are alike becomes 0."""
    given = torch.randn(11, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([5, 0.1, 1, 0]) + 3
    words = given[1:, :3].double().numpy()
    expected = (words - words.mean(axis=0)) / words.std(axis=0)
    found = standardised(given)
    torch.testing.assert_close(found[1:, :3], torch.from_numpy(expected).float())
    assert not found[0].any()
    assert not found[:, 3].any()


def test_projected_vectors_are_as_large_as_random_ones() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(400, 50) * 0.7 + 2
    embedding = WordEmbedding(vocabulary_size=400, embedding_size=300, vectors=vectors)
    found = embedding(torch.arange(1, 400))
    assert found.mean().item() == pytest.approx(0, abs=0.01)
    assert found.std().item() == pytest.approx(1, abs=0.02)


def test_training_does_not_write_into_vectors_of_the_same_kind() -> None:
    given = VECTORS.clone()
    embedding = WordEmbedding(vocabulary_size=11, embedding_size=3, vectors=given)
    with torch.no_grad():
        embedding.weight += 1
    assert torch.equal(given, VECTORS)


@pytest.mark.parametrize(("embedding_size", "project"), [(3, []), (6, [(6, 3)])])
def test_vectors_of_another_length_are_projected(embedding_size: int, project: list[tuple[int, int]]) -> None:
    embedding = WordEmbedding(vocabulary_size=11, embedding_size=embedding_size, vectors=VECTORS)
    assert [tuple(weight.shape) for weight in embedding.parameters()] == [(11, 3), *project]


@BOTH
def test_weights_load_where_only_the_length_of_the_vectors_is_known(kind: type[Encoder]) -> None:
    trained, rebuilt = _encoder(kind, VECTORS), _encoder(kind, torch.zeros(11, 3))
    rebuilt.load_state_dict(trained.state_dict())
    assert torch.equal(rebuilt(_pad(QUESTIONS, 7)), trained(_pad(QUESTIONS, 7)))


def test_vectors_must_be_one_for_each_word_number() -> None:
    with pytest.raises(ValueError, match="12 word numbers need as many vectors, but got 11"):
        WordEmbedding(vocabulary_size=12, embedding_size=3, vectors=VECTORS)
