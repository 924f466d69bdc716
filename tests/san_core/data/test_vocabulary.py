import pytest

from san_core.data.vocabulary import PADDING, UNKNOWN, Vocabulary, most_common, tokenize


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What colour is it?", ["what", "colour", "is", "it"]),
        ("is the CAT's tail 2-coloured?!", ["is", "the", "cat's", "tail", "2", "coloured"]),
        ("  two\tspaces\nand lines ", ["two", "spaces", "and", "lines"]),
        ("Wie groß ist der Käse?", ["wie", "groß", "ist", "der", "käse"]),
        ("Où est le cafe\u0301?", ["où", "est", "le", "café"]),  # é written as e and an accent
        ("Какого цвета шар_3?", ["какого", "цвета", "шар", "3"]),
        ("what\u2019s this", ["what's", "this"]),
        ("", []),
        ("?!", []),
    ],
)
def test_tokenize_gives_lower_case_words_without_punctuation(question: str, words: list[str]) -> None:
    assert tokenize(question) == words


def test_most_common_orders_by_count_then_alphabet() -> None:
    assert most_common(["pear", "fig", "apple", "fig", "pear", "kiwi"]) == ["fig", "pear", "apple", "kiwi"]


def test_most_common_does_not_depend_on_the_order_of_items() -> None:
    items = ["b", "a", "c", "b", "d", "a"]
    assert most_common(items) == most_common(reversed(items)) == ["a", "b", "c", "d"]


def test_most_common_keeps_the_first_ones_up_to_the_limit() -> None:
    assert most_common("mississippi", limit=2) == ["i", "s"]


def test_vocabulary_numbers_words_in_their_order_after_padding_and_unknown() -> None:
    words = Vocabulary(["is", "red", "it"])
    assert words.encode("Is it red?") == [2, 4, 3]
    assert len(words) == 5


def test_word_outside_the_vocabulary_is_unknown() -> None:
    assert Vocabulary(["is", "red", "it"]).encode("is it crimson") == [2, 4, UNKNOWN]


@pytest.mark.parametrize("question", ["", "   ", "?"])
def test_question_without_words_is_one_unknown_word_and_never_padding(question: str) -> None:
    assert Vocabulary(["is"]).encode(question) == [UNKNOWN]
    assert UNKNOWN != PADDING
