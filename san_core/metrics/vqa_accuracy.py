"""VQA accuracy: the more people gave an answer, the higher it scores.

Antol et al., VQA: Visual Question Answering, ICCV 2015. The paper defines it as min(people who gave the answer / 3, 1).
Published scores come from the authors' evaluation program (vqaEval.py of github.com/GT-Vision-Lab/VQA). It compares
an answer with those of all people but one, for each person in turn, and normalises answers in ways that the paper does
not describe. This module does what the program does, including its oddities, so that scores can be compared with
published ones.
"""

import re
from functools import lru_cache

from san_core.data.questions import Question

_PEOPLE_FOR_FULL_CREDIT = 3
_CACHE_SIZE = 2**19  # calls: every epoch scores the same questions, and answers repeat

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_NUMBER_WITH_COMMA = re.compile(r"[0-9],[0-9]")
_PERIOD = re.compile(r"\.(?![0-9])")
_MAX_PERIODS = 32  # the program passes a flag of that value as the maximum number of replacements

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
    """All spellings of the word with one of its apostrophes missing."""
    return [word[:i] + word[i + 1 :] for i, letter in enumerate(word) if letter == "'"]


# The last pair is the other way round, as in the program.
_CONTRACTIONS = {
    misspelt: word for word in _WITH_APOSTROPHES.split() for misspelt in _with_one_apostrophe_dropped(word)
} | {"somebody'd": "somebodyd"}


def vqa_accuracy(predicted: str, question: Question) -> float:
    """The VQA accuracy of one answer, in [0, 1].

    For each person it is min(other people who gave the answer / 3, 1); the score is the mean over all people. With ten
    people, an answer given by 0, 1, 2, 3 or more than 3 of them scores 0, 0.3, 0.6, 0.9 or 1. With fewer people the
    rule is the same and the highest score is lower: 2/3 if all of three people gave the answer, 0 if only one person
    answered. A question that nobody answered scores 0.

    Answers are normalised before they are compared, unless all people gave the same one. Then the predicted answer must
    equal it exactly, including capitals.
    """
    people, differ = _compared(question.human_answers)
    predicted = normalise(predicted) if differ else _on_one_line(predicted)
    return _credit(people.count(predicted), len(people)) if people else 0.0


@lru_cache(_CACHE_SIZE)
def _compared(answers: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """People's answers, normalised if they differ, and whether they differ."""
    people = tuple(map(_on_one_line, answers))
    differ = len(set(people)) > 1
    return tuple(map(normalise, people)) if differ else people, differ


def _credit(gave_it: int, people: int) -> float:
    """The score of an answer given by `gave_it` of `people`. For each of those, one fewer other person gave it."""
    for_those = min((gave_it - 1) / _PEOPLE_FOR_FULL_CREDIT, 1.0)
    for_others = min(gave_it / _PEOPLE_FOR_FULL_CREDIT, 1.0)
    return (gave_it * for_those + (people - gave_it) * for_others) / people


def _on_one_line(answer: str) -> str:
    """Replaces newlines and tabs by spaces, and strips the answer."""
    return answer.replace("\n", " ").replace("\t", " ").strip()


@lru_cache(_CACHE_SIZE)
def normalise(answer: str) -> str:
    """Normalises an answer for comparison.

    Removes punctuation and articles, writes number words as digits, and adds missing apostrophes to contractions. The
    result is lower-case words separated by single spaces.
    """
    words = [_DIGITS.get(word, word) for word in _without_punctuation(_on_one_line(answer)).lower().split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def _without_punctuation(answer: str) -> str:
    """Removes punctuation except apostrophes and colons.

    All occurrences of a character are treated alike. They are deleted if one of them is next to a space, or if the
    answer has a comma between two digits anywhere; otherwise each is replaced by a space. Periods are deleted last,
    except before a digit.
    """
    has_number = _NUMBER_WITH_COMMA.search(answer) is not None
    deleted = {mark for mark in _PUNCTUATION if has_number or f"{mark} " in answer or f" {mark}" in answer}
    answer = answer.translate({ord(mark): None if mark in deleted else " " for mark in _PUNCTUATION})
    return _PERIOD.sub("", answer, count=_MAX_PERIODS)
