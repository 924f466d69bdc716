from collections.abc import Sequence

import pytest

from san_core.data.questions import Question
from san_core.metrics import get_metric
from san_core.metrics.vqa_accuracy import normalise


def _score(predicted: str, answers: Sequence[str]) -> float:
    question = Question("?", answers[0] if answers else "", "image", answers=tuple(answers))
    return get_metric("vqa").score([predicted], [question]).item()


def _by_the_rule(predicted: str, answers: Sequence[str]) -> float:
    """Each person against the others, counted out."""
    credits = []
    for person in range(len(answers)):
        others = [answer for other, answer in enumerate(answers) if other != person]
        credits.append(min(sum(answer == predicted for answer in others) / 3, 1))
    return sum(credits) / len(credits)


@pytest.mark.parametrize(
    ("matches", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (5, 1.0), (9, 1.0), (10, 1.0)]
)
def test_score_grows_with_how_many_of_ten_people_agree(matches: int, score: float) -> None:
    assert _score("red", ["red"] * matches + ["blue"] * (10 - matches)) == pytest.approx(score)


def test_order_of_people_does_not_matter() -> None:
    assert _score("red", ["blue", "red", "green", "red", *["blue"] * 6]) == pytest.approx(0.6)


@pytest.mark.parametrize("people", [1, 2, 3, 4, 5, 9, 12])
def test_same_rule_holds_for_any_number_of_people(people: int) -> None:
    for matches in range(people + 1):
        answers = ["red"] * matches + ["blue"] * (people - matches)
        assert _score("red", answers) == pytest.approx(_by_the_rule("red", answers)), (matches, people)


@pytest.mark.parametrize(
    ("answers", "score"),
    [
        (["red"], 0.0),  # nobody else said so
        (["red", "red"], 1 / 3),
        (["red", "red", "red"], 2 / 3),
        (["red", "red", "red", "red"], 1.0),
        (["red", "blue", "blue"], 2 / 9),  # one sees no other, two see one: (0 + 1/3 + 1/3) / 3
        ([], 0.0),
    ],
)
def test_fewer_people_give_less_credit(answers: list[str], score: float) -> None:
    assert _score("red", answers) == pytest.approx(score)


def test_one_person_alone_is_taken_from_the_right_answer() -> None:
    assert get_metric("vqa").score(["red"], [Question("?", "red", "image")]).tolist() == [0.0]


def test_both_sides_are_normalised_where_people_differ() -> None:
    assert _score("A Dog!", ["the dog", "dog.", "DOG", *["cat"] * 7]) == pytest.approx(0.9)
    assert _score("two", ["2", *["3"] * 9]) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("predicted", "answers", "score"),
    [
        ("two", ["2"] * 10, 0.0),
        ("Yes", ["yes"] * 10, 0.0),
        ("the dog", ["dog"] * 10, 0.0),
        ("the dog", ["the dog"] * 10, 1.0),
        ("A Dog!", ["A Dog!"] * 10, 1.0),
        ("a dog", ["a\tdog", "a dog ", "\na dog", *["a dog"] * 7], 1.0),  # identical once on one line
        ("dog", ["a\tdog", "a dog ", "\na dog", *["a dog"] * 7], 0.0),
        (" dog\n", ["dog"] * 10, 1.0),
        ("two", ["2"] * 9 + ["2!"], 1.0),  # not quite identical
    ],
)
def test_nothing_is_normalised_where_people_are_of_one_mind(predicted: str, answers: list[str], score: float) -> None:
    assert _score(predicted, answers) == pytest.approx(score)


@pytest.mark.parametrize("mark", list(';/[]"{}()=+\\_-><@`,?!'))
def test_punctuation_next_to_a_space_is_deleted_and_elsewhere_is_a_space(mark: str) -> None:
    assert normalise(f"red{mark} wine") == "red wine"
    assert normalise(f"red {mark}wine") == "red wine"
    assert normalise(f"x{mark}ray") == "x ray"
    assert normalise(f"x{mark}ray{mark} red") == "xray red"  # one of them decides for both
    assert normalise(f"x{mark}ray {mark}red") == "xray red"
    assert normalise(f"x{mark}ray 1,000") == "xray 1000"  # a comma between digits decides for all


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("1,000", "1000"),
        ("1,000,000", "1000000"),
        ("red,blue", "red blue"),
        ("red, blue", "red blue"),
        ("x,5-y", "x 5 y"),  # no digit before the comma
        ("10,a", "10"),  # no digit after the comma: a space, and `a` is an article
        ("x-ray/1,5", "xray15"),
        ("t-shirt, blue", "t shirt blue"),  # the comma is next to a space, the hyphen is not
        ("-", ""),
        ("5:30", "5:30"),
        ("dog's", "dog's"),
        ("50%", "50%"),
        ("#1", "#1"),
        ("a&w", "a&w"),
    ],
)
def test_commas_and_marks_that_are_no_punctuation(answer: str, normalised: str) -> None:
    assert normalise(answer) == normalised


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("yes.", "yes"),
        ("3.5", "3.5"),
        (".5", ".5"),
        ("3.", "3"),
        ("3. 5", "3 5"),
        ("u.s.a.", "usa"),
        ("st.john", "stjohn"),
        ("v.2", "v.2"),
        ("1.(5)", "1 5"),  # brackets become spaces first
        ("( 1.(5)", "1.5"),  # brackets are deleted first
        ("x" + "." * 40, "x" + "." * 8),  # 32 at most
        ("x" + "." * 32, "x"),
    ],
)
def test_periods_go_unless_a_digit_follows(answer: str, normalised: str) -> None:
    assert normalise(answer) == normalised


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("none", "0"),
        ("Zero", "0"),
        ("one two three four five", "1 2 3 4 5"),
        ("six seven eight nine ten", "6 7 8 9 10"),
        ("eleven", "eleven"),
        ("someone", "someone"),
        ("two-tone", "2 tone"),
    ],
)
def test_number_words_become_digits(answer: str, normalised: str) -> None:
    assert normalise(answer) == normalised


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("a dog", "dog"),
        ("An apple", "apple"),
        ("THE end of the day", "end of day"),
        ("theme", "theme"),
        ("the", ""),
        ("vitamin a", "vitamin"),
    ],
)
def test_articles_are_dropped(answer: str, normalised: str) -> None:
    assert normalise(answer) == normalised


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("dont", "don't"),
        ("DONT", "don't"),
        ("don't", "don't"),
        ("dont know", "don't know"),
        ("oclock", "o'clock"),
        ("12 oclock", "12 o'clock"),
        ("maam", "ma'am"),
        ("twas", "'twas"),
        ("yall", "y'all"),
        ("couldntve", "couldntve"),  # two are missing
        ("couldn'tve", "couldn't've"),
        ("couldnt've", "couldn't've"),
        ("ow's'at", "'ow's'at"),
        ("'ows'at", "'ow's'at"),
        ("'ow'sat", "'ow's'at"),
        ("y'all'dve", "y'all'd've"),
        ("yall'll", "y'all'll"),
        ("someones", "someone's"),
        ("somebody'd", "somebodyd"),  # the table has this one the wrong way round
        ("somebodyd", "somebodyd"),
        ("hes", "he's"),
        ("shes", "shes"),  # not in the table
        ("wed", "wed"),
        ("its", "its"),
        ("Im", "im"),  # in the table with a capital, where lower-case words never find it
        ("Ive", "ive"),
        ("dont!", "don't"),
        ("do-nt", "do nt"),
    ],
)
def test_contractions_get_their_apostrophe_back(answer: str, normalised: str) -> None:
    assert normalise(answer) == normalised


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("red\nwine", "red wine"),
        ("red\twine", "red wine"),
        ("  red   wine \n", "red wine"),
        ("x-\nray-x", "x rayx"),  # the newline is the space that the hyphen is next to
        ("-x-ray", "x ray"),
        (" -x-ray", "x ray"),  # spaces around the answer go before punctuation is looked at
    ],
)
def test_newlines_and_tabs_are_spaces(answer: str, normalised: str) -> None:
    assert normalise(answer) == normalised


def test_every_question_is_scored_by_its_own_people() -> None:
    questions = [
        Question("?", "red", "image", answers=("red",) * 10),
        Question("?", "2", "image", answers=("2",) * 2 + ("3",) * 8),
        Question("?", "cat", "image"),
    ]
    assert get_metric("vqa").score(["red", "two", "dog"], questions) == pytest.approx([1.0, 0.6, 0.0])
