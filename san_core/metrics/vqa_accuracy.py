"""VQA accuracy: an answer is as right as people gave it.

Antol et al., VQA: Visual Question Answering, ICCV 2015. The paper says min(people who gave the answer / 3, 1).
Published scores come from its authors' evaluation program (vqaEval.py of github.com/GT-Vision-Lab/VQA), which
compares each person with the others and normalises answers in ways the paper leaves open. What that program
does holds here, oddities included, so that scores can be compared with published ones.
"""

import re
from functools import lru_cache

from san_core.data.questions import Question

_PEOPLE_FOR_FULL_CREDIT = 3
_REMEMBERED = 2**19  # calls: every epoch scores the same questions, and people repeat themselves

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_NUMBER_WITH_COMMA = re.compile(r"[0-9],[0-9]")
_PERIOD = re.compile(r"\.(?![0-9])")
_MOST_PERIODS = 32  # the program's call passes a flag of that value where the greatest number of removals goes

_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS)} | {"none": "0"}
_ARTICLES = {"a", "an", "the"}

_WITH_APOSTROPHES = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've
"""


def _with_one_apostrophe_dropped(word: str) -> list[str]:
    """Every way to write the word with one of its apostrophes missing."""
    return [word[:i] + word[i + 1 :] for i, letter in enumerate(word) if letter == "'"]


# The last pair runs the other way: so the program has it.
_CONTRACTIONS = {
    misspelt: word for word in _WITH_APOSTROPHES.split() for misspelt in _with_one_apostrophe_dropped(word)
} | {"somebody'd": "somebodyd"}


def vqa_accuracy(predicted: str, question: Question) -> float:
    """The VQA accuracy of one answer, in [0, 1].

    For each person it is min(others who gave the answer / 3, 1), and the mean over all persons is the score.
    Of ten persons 0, 1, 2, 3 or more than 3 who gave it make 0, 0.3, 0.6, 0.9 or 1. The same rule holds for
    fewer persons, with less to be had: 2/3 where three persons gave the answer, 0 where one person was asked.
    A question that nobody answered scores 0.

    Answers are normalised before they are compared, unless all persons gave the same one: then not even
    capitals are forgiven.
    """
    people, differ = _compared(question.human_answers)
    predicted = normalise(predicted) if differ else _on_one_line(predicted)
    return _credit(people.count(predicted), len(people)) if people else 0.0


@lru_cache(_REMEMBERED)
def _compared(answers: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """People's answers as predictions are compared with them, and whether they differ, hence are normalised."""
    people = tuple(map(_on_one_line, answers))
    differ = len(set(people)) > 1
    return tuple(map(normalise, people)) if differ else people, differ


def _credit(gave_it: int, people: int) -> float:
    """The mean credit where `gave_it` of `people` gave the answer: each of those sees one fewer others who did."""
    seen_by_them = min((gave_it - 1) / _PEOPLE_FOR_FULL_CREDIT, 1.0)
    seen_by_others = min(gave_it / _PEOPLE_FOR_FULL_CREDIT, 1.0)
    return (gave_it * seen_by_them + (people - gave_it) * seen_by_others) / people


def _on_one_line(answer: str) -> str:
    """The answer with spaces for newlines and tabs, and none around it."""
    return answer.replace("\n", " ").replace("\t", " ").strip()


@lru_cache(_REMEMBERED)
def normalise(answer: str) -> str:
    """The answer as it is compared where people differ.

    Punctuation goes, numbers become digits, articles are dropped and contractions get the apostrophe they lack;
    what remains is lower-case words, one space apart.
    """
    words = [_DIGITS.get(word, word) for word in _without_punctuation(_on_one_line(answer)).lower().split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def _without_punctuation(answer: str) -> str:
    """The answer without punctuation, apostrophes and colons excepted.

    All of a character's occurrences go the same way. They are deleted if one of them is next to a space or if
    the answer has a comma between two digits anywhere; otherwise each becomes a space. Periods are
    deleted last, those before a digit excepted.
    """
    has_number = _NUMBER_WITH_COMMA.search(answer) is not None
    deleted = {mark for mark in _PUNCTUATION if has_number or f"{mark} " in answer or f" {mark}" in answer}
    answer = answer.translate({ord(mark): None if mark in deleted else " " for mark in _PUNCTUATION})
    return _PERIOD.sub("", answer, count=_MOST_PERIODS)
