"""Collects the problems of a data set. They are counted and reported; with --strict they are errors."""

from collections import Counter
from dataclasses import dataclass

from san_core.errors import InputError

_EXAMPLES = 3


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        kind: the problem and what is done about it; the same text for all problems of a kind.
        where: file and line, or id.
        detail: further details, or empty.
    """

    kind: str
    where: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}{f' ({self.detail})' if self.detail else ''}"


class Problems:
    """The problems found in a data set so far.

    Args:
        strict: raise an error at the first problem.
        otherwise: text for the error that says what happens to problems without `strict`.

    Attributes:
        found: the problems in the order in which they were found.
    """

    def __init__(self, *, strict: bool = False, otherwise: str = "this is only reported") -> None:
        self.found: list[Problem] = []
        self._strict = strict
        self._otherwise = otherwise

    def add(self, kind: str, where: object, detail: str = "") -> None:
        """Adds a problem. Arguments as for `Problem`.

        Raises:
            InputError: if strict.
        """
        self.append(Problem(kind, str(where), " ".join(detail.split())))

    def append(self, problem: Problem) -> None:
        """Adds a problem that was found earlier.

        Raises:
            InputError: if strict.
        """
        if self._strict:
            raise InputError(f"{problem}; without --strict {self._otherwise}")
        self.found.append(problem)

    def summary(self) -> list[str]:
        """One line for each kind, most frequent first, with its count and first examples."""
        counts = Counter(problem.kind for problem in self.found)
        return [
            f"{count:,} x {kind}: {'; '.join(self._examples(kind))}{'; ...' if count > _EXAMPLES else ''}"
            for kind, count in counts.most_common()
        ]

    def _examples(self, kind: str) -> list[str]:
        alike = [problem for problem in self.found if problem.kind == kind][:_EXAMPLES]
        return [f"{problem.where}{f' ({problem.detail})' if problem.detail else ''}" for problem in alike]
