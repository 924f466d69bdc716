"""WUPS: a score that is higher the closer the meaning of an answer is to that of the right answer.

Malinowski and Fritz, A Multi-World Approach to Question Answering about Real-World Scenes based on Uncertain
Input, NeurIPS 2014, and their program calculate_wups.py.
"""

from functools import cache, lru_cache
from math import prod

from san_core.data.questions import Question
from san_core.metrics.wordnet import Nouns, find_wordnet

_FACTOR_BELOW_THRESHOLD = 0.1  # of a similarity
_CACHE_SIZE = 2**18  # pairs: the few hundred answers of a data set make the same pairs again and again


def wups(predicted: str, question: Question, *, threshold: float) -> float:
    """The WUPS of one answer, in [0, 1].

    The things of an answer of several things are separated by ", ". Let A be the predicted and T the right things. The
    score is the smaller of two products: over A, of the largest similarity of each thing to one in T; and over T, of
    the largest similarity of each thing to one in A. So both a missing and an additional thing lower the score.

    The similarity of two things is the Wu-Palmer similarity of their closest noun senses in WordNet, times 0.1 if it is
    below the threshold. It is 1 for equal words, and 0 if a word has no noun sense.

    Args:
        predicted: an answer.
        question: the question it answers.
        threshold: similarity below which a score is reduced, in [0, 1]; papers report 0.9 and 0.0. With 0.0 none is
            reduced.

    Raises:
        InputError: if WordNet is missing.
    """
    nouns()  # raises now if WordNet is missing, not at the first two words that differ
    return _similarity_of_answers(predicted, question.answer, threshold)


@cache
def nouns() -> Nouns:
    """Returns WordNet's nouns; they are read at the first call.

    Raises:
        InputError: if WordNet is missing.
    """
    return Nouns(find_wordnet())


@lru_cache(_CACHE_SIZE)
def _similarity_of_answers(predicted: str, right: str, threshold: float) -> float:
    """The WUPS of a predicted answer, given the right one."""
    given = dict.fromkeys(predicted.split(", "))
    wanted = dict.fromkeys(right.split(", "))
    return min(
        prod(max(_similarity(one, other, threshold) for other in wanted) for one in given),
        prod(max(_similarity(other, one, threshold) for one in given) for other in wanted),
    )


def _similarity(one: str, other: str, threshold: float) -> float:
    """The similarity of two words, reduced if it is below the threshold."""
    similarity = _wup(one, other)
    return similarity if similarity >= threshold else _FACTOR_BELOW_THRESHOLD * similarity


@lru_cache(_CACHE_SIZE)
def _wup(one: str, other: str) -> float:
    """The Wu-Palmer similarity of the closest senses of two words."""
    if one == other:
        return 1.0
    of_other = nouns().senses(other)
    return max((nouns().similarity(a, b) for a in nouns().senses(one) for b in of_other), default=0.0)
