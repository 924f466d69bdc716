import pytest

from san_core.data.problems import Problems
from san_core.data.raw_dataset import Location
from san_core.data.readers import read_dataset
from san_core.data.vocabulary import (
    CHARACTERS,
    LETTERS,
    PADDING,
    UNKNOWN,
    WORDS,
    Vocabulary,
    choose_tokenizer,
    most_common,
    tokenize,
)
from tests.san_core.data_sets import SHARED, needs_coco, needs_daquar


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
        ("क्या यह बिल्ली है?", ["क्या", "यह", "बिल्ली", "है"]),
        ("இது என்ன நிறம்?", ["இது", "என்ன", "நிறம்"]),
        ("هَلْ هٰذَا كِتَابٌ؟", ["هَلْ", "هٰذَا", "كِتَابٌ"]),
        ('מָה זֶה צה"ל?', ["מָה", "זֶה", 'צה"ל']),
        ("İstanbul x\u0304", ["istanbul", "x\u0304"]),  # no single character is x with a line
        ("می\u200cشود", ["میشود"]),  # a joiner that many leave out
        ("고양이가 어디에 있나요?", ["고양이가", "어디에", "있나요"]),
        ("Ｗｈａｔ’s　ｔｈｉｓ", ["what's", "this"]),
        ("5² m\u20e3 ❤\ufe0f 1\ufe0f", ["5²", "m", "1"]),
        ("", []),
        ("?!", []),
    ],
)
def test_tokenize_gives_lower_case_words_without_punctuation(question: str, words: list[str]) -> None:
    assert tokenize(question) == words


@pytest.mark.parametrize(
    ("question", "characters", "segmented"),
    [
        ("แมวอยู่ที่ไหน", "แ ม ว อ ยู่ ที่ ไ ห น", "แมว อยู่ ที่ไหน"),
        ("น้ำ ๑๒", "น้ำ ๑๒", "น้ำ ๑๒"),
        ("ຫມາຢູ່ໃສ ນ້ຳ", "ຫ ມ າ ຢູ່ ໃ ສ ນ້ຳ", "ຫມາ ຢູ່ໃສ ນ້ຳ"),
        ("តើឆ្មានៅឯណា", "តើ ឆ្មា នៅ ឯ ណា", "តើ ឆ្មា នៅឯណា"),
        ("စက္ကူ မှာ", "စ က္ကူ မှာ", "စက္ကူ မှာ"),
        ("图中有3只cat吗？", "图 中 有 3 只 cat 吗", "图 中 有 3 只 cat 吗"),
        ("これはバスﾃﾞｽか", "こ れ は バ ス デ ス か", "これ は バス デス か"),
    ],
)
def test_scripts_without_spaces_are_split_into_characters_unless_they_are_segmented(
    question: str, characters: str, segmented: str
) -> None:
    assert tokenize(question, CHARACTERS) == characters.split()
    assert tokenize(segmented, WORDS) == segmented.split()
    assert tokenize(segmented.replace(" ", "\u200b"), WORDS) == segmented.split()  # zero-width spaces


@pytest.mark.parametrize(
    ("questions", "tokenizer"),
    [
        ([], CHARACTERS),
        (["what is it?", "café où ça"], CHARACTERS),
        (["图中有几只猫？", "แมวอยู่ที่ไหน ในรูปนี้"], CHARACTERS),
        (["图 中 有 几 只 猫 ？", "什么 颜色", "what is it?"], WORDS),
        (["แมว\u200bอยู่\u200bที่ไหน"], WORDS),
    ],
)
def test_data_set_with_segmented_words_keeps_them(questions: list[str], tokenizer: str) -> None:
    assert choose_tokenizer(questions) == tokenizer


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("easy-vqa", None),
        pytest.param("daquar-all", "daquar", marks=needs_daquar),
        pytest.param("coco-qa", "coco_sample", marks=needs_coco),
        pytest.param("vqa-v2", "coco_sample", marks=needs_coco),
    ],
)
def test_words_of_published_data_sets_are_those_of_earlier_versions(name: str, folder: str | None) -> None:
    dataset = read_dataset(name, Location(root=SHARED / folder if folder else None), Problems())
    for text in {question.text for question in (*dataset.train, *dataset.test)}:
        # With a letter that is not ASCII the text goes the long way.
        assert tokenize(f"{text} é") == tokenize(f"{text} é", LETTERS) == [*tokenize(text), "é"]


def test_vocabulary_of_an_earlier_model_keeps_its_words() -> None:
    assert Vocabulary(["क", "य", "यह"], LETTERS).encode("क्या यह") == [2, 3, 4]
    assert Vocabulary(["क्या", "यह"]).encode("क्या यह") == [2, 3]


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
