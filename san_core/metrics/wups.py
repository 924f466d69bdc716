"""WUPS: an answer is as right as its meaning is close.

Malinowski and Fritz, A Multi-World Approach to Question Answering about Real-World Scenes based on Uncertain
Input, NeurIPS 2014, and their program calculate_wups.py.
"""

from functools import cache, lru_cache
from math import prod

from san_core.data.questions import Question
from san_core.metrics.wordnet import Nouns, find_wordnet

_FAR = 0.1  # what is left of a similarity below the threshold
_REMEMBERED = 2**18  # pairs: the few hundred answers of a data set make the same pairs over and over


def wups(predicted: str, question: Question, *, threshold: float) -> float:
    """The WUPS of one answer, in [0, 1].

    An answer of several things names them with ", " between: A the predicted ones, T the right ones. The score
    is the smaller of two products: over A, of each thing's greatest similarity to any in T, and the other way
    round. So a thing missing and a thing too many both cost.

    Two things are alike by the Wu-Palmer similarity of their closest noun senses in WordNet, and a tenth of it
    where that is below the threshold; equal words by 1, words without a noun sense by 0.

    Args:
        predicted: an answer.
        question: what it answers.
        threshold: in [0, 1]: 0.9 and 0.0 are reported; 0.0 takes every similarity as it is.

    Raises:
        InputError: if WordNet is missing.
    """
    nouns()  # said at once, not at the first two words that differ
    return _similarity_of_answers(predicted, question.answer, threshold)


@cache
def nouns() -> Nouns:
    """WordNet's nouns, read at first use.

    Raises:
        InputError: if WordNet is missing.
    """
    return Nouns(find_wordnet())


@lru_cache(_REMEMBERED)
def _similarity_of_answers(predicted: str, right: str, threshold: float) -> float:
    """The WUPS of a predicted answer, given the right one."""
    said = dict.fromkeys(predicted.split(", "))
    wanted = dict.fromkeys(right.split(", "))
    return min(
        prod(max(_similarity(one, other, threshold) for other in wanted) for one in said),
        prod(max(_similarity(other, one, threshold) for one in said) for other in wanted),
    )


def _similarity(one: str, other: str, threshold: float) -> float:
    """How alike two words are, far ones reduced."""
    similarity = _wup(one, other)
    return similarity if similarity >= threshold else _FAR * similarity


@lru_cache(_REMEMBERED)
def _wup(one: str, other: str) -> float:
    """The Wu-Palmer similarity of the closest senses of two words."""
    if one == other:
        return 1.0
    of_other = nouns().senses(other)
    return max((nouns().similarity(a, b) for a in nouns().senses(one) for b in of_other), default=0.0)
