"""Finds answers that are likely slips: to be told of, not to be changed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

_SHORTEST = 5  # letters of an answer that may be misspelt: of short words many differ in one letter
_FREQUENT = 5  # questions with the right spelling, at least
_TIMES_AS_FREQUENT = 10
_SHOWN = 3

_NUMBERS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty
"""
_NULLS = ("nan", "null", "n/a", "na", "#n/a", "<na>", "nat")


def find_slips(answers: Iterable[str]) -> list[str]:
    """Finds pairs of answers that may mean the same. The time it takes grows in proportion to the number of answers.

    Args:
        answers: the right answer of each question; empty where there is none.

    Returns:
        At most one line for each kind, with the most frequent examples: number words beside digits, `2.0` beside `2`,
        singular beside plural, likely misspellings; and a line for each word that programs write for no answer.
    """
    counts = Counter(answer for answer in answers if answer)
    kinds = {
        "in digits and in words": _numbers(counts),
        "with and without .0": [(answer, f"{answer}.0") for answer in counts if f"{answer}.0" in counts],
        "in singular and plural": _plurals(counts),
        "with a likely misspelling": _misspellings(counts),
    }
    lines = [_describe(kind, pairs, counts) for kind, pairs in kinds.items() if pairs]
    nulls = [answer for answer in counts if answer.lower() in _NULLS]
    return lines + [
        f"`{null}` is the answer of {counts[null]:,} questions: leave it out if it means none" for null in nulls
    ]


def _describe(kind: str, pairs: list[tuple[str, str]], counts: Mapping[str, int]) -> str:
    pairs = sorted(pairs, key=lambda pair: (-min(counts[pair[0]], counts[pair[1]]), pair))
    shown = "; ".join(f"`{a}` ({counts[a]:,}) and `{b}` ({counts[b]:,})" for a, b in pairs[:_SHOWN])
    more = "; ..." if len(pairs) > _SHOWN else ""
    one = len(pairs) == 1
    return f"{len(pairs):,} {'answer is' if one else 'answers are'} there {kind}, as different answers: {shown}{more}"


def _numbers(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    pairs = ((str(number), word) for number, word in enumerate(_NUMBERS.split()))
    return [pair for pair in pairs if all(answer in counts for answer in pair)]


def _plurals(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    return [
        (answer, plural)
        for answer in counts
        if len(answer) > 2 and answer[-1].isalpha()
        for plural in _plurals_of(answer)
        if plural in counts
    ]


def _plurals_of(answer: str) -> list[str]:
    if answer.endswith("y"):
        return [f"{answer[:-1]}ies", f"{answer}s"]
    if answer.endswith(("s", "x", "z", "ch", "sh")):
        return [f"{answer}es"]
    return [f"{answer}s"]


def _misspellings(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of a frequent answer and a rare one that two swapped letters, a missing or an additional one lead to."""
    frequent = {a: n for a, n in counts.items() if n >= _FREQUENT and _has_letters(a)}
    shortened: dict[str, list[str]] = {}
    for answer in frequent:
        for variant in {*_without_one(answer), answer}:
            shortened.setdefault(variant, []).append(answer)
    pairs = []
    for rare, count in counts.items():
        if not _has_letters(rare):
            continue
        candidates = {a for variant in {*_without_one(rare), rare} for a in shortened.get(variant, ())}
        pairs += [
            (a, rare) for a in candidates if frequent[a] >= _TIMES_AS_FREQUENT * count and _differ_by_one_slip(a, rare)
        ]
    return pairs


def _has_letters(answer: str) -> bool:
    return len(answer) >= _SHORTEST and answer.replace(" ", "").isalpha()


def _without_one(answer: str) -> Iterator[str]:
    return (answer[:i] + answer[i + 1 :] for i in range(len(answer)))


def _differ_by_one_slip(one: str, other: str) -> bool:
    """Whether two neighbouring letters are swapped, or one is missing. A wrong letter often makes another real word."""
    if len(one) != len(other):
        shorter, longer = sorted((one, other), key=len)
        return longer not in _plurals_of(shorter) and shorter in _without_one(longer)
    differing = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    return len(differing) == 2 and one[differing[0] : differing[1] + 1] == other[differing[0] : differing[1] + 1][::-1]
