import pytest
import torch
from torch import Tensor, nn

from san_core.models.question_encoder import LSTMQuestionEncoder

QUESTIONS = [[4, 2, 9, 2], [3], [1, 5, 5, 5, 8, 7, 6], [4, 2]]


def _encoder() -> LSTMQuestionEncoder:
    torch.manual_seed(0)
    return LSTMQuestionEncoder(vocabulary_size=11, embedding_size=6, hidden_size=5)


def _pad(questions: list[list[int]], width: int) -> Tensor:
    return torch.tensor([question + [0] * (width - len(question)) for question in questions])


def _nn_lstm(encoder: LSTMQuestionEncoder, tokens: Tensor) -> Tensor:
    """The textbook way with the encoder's own weights."""
    lengths = torch.tensor([len(question) for question in QUESTIONS])
    words = nn.functional.embedding(tokens, encoder.embedding.weight, padding_idx=0)
    packed = nn.utils.rnn.pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
    _, (hidden, _) = encoder.lstm(packed)
    last: Tensor = hidden[0]
    return last


def test_result_is_that_of_nn_lstm_over_packed_sequences() -> None:
    encoder = _encoder()
    tokens = _pad(QUESTIONS, 7)
    torch.testing.assert_close(encoder(tokens), _nn_lstm(encoder, tokens))


def test_gradients_are_those_of_nn_lstm_over_packed_sequences() -> None:
    encoder = _encoder()
    tokens, direction = _pad(QUESTIONS, 7), torch.randn(len(QUESTIONS), 5)
    found = torch.autograd.grad((encoder(tokens) * direction).sum(), list(encoder.parameters()))
    expected = torch.autograd.grad((_nn_lstm(encoder, tokens) * direction).sum(), list(encoder.parameters()))
    for name, ours, theirs in zip(dict(encoder.named_parameters()), found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_question_in_a_padded_batch_equals_the_question_alone() -> None:
    encoder = _encoder()
    alone = torch.cat([encoder(torch.tensor([question])) for question in QUESTIONS])
    torch.testing.assert_close(encoder(_pad(QUESTIONS, 7)), alone)


@pytest.mark.parametrize("width", [8, 20])
def test_more_padding_changes_nothing(width: int) -> None:
    encoder = _encoder()
    assert torch.equal(encoder(_pad(QUESTIONS, width)), encoder(_pad(QUESTIONS, 7)))


def test_padding_has_no_say_and_learns_nothing() -> None:
    encoder = _encoder()
    before = encoder(_pad(QUESTIONS, 7))
    before.sum().backward()
    assert encoder.embedding.weight.grad is not None
    assert (encoder.embedding.weight.grad[0] == 0).all()
    with torch.no_grad():
        encoder.embedding.weight[0] = 100.0
    assert torch.equal(encoder(_pad(QUESTIONS, 7)), before)


def test_word_order_matters() -> None:
    encoder = _encoder()
    assert not torch.allclose(encoder(torch.tensor([[4, 2, 9]])), encoder(torch.tensor([[9, 2, 4]])))
