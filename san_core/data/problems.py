"""What is wrong with a data set: counted and told, fatal only where the user wants it so."""

from collections import Counter
from dataclasses import dataclass

from san_core.errors import InputError

_SHOWN = 3


@dataclass(frozen=True)
class Problem:
    """One flaw.

    Attributes:
        kind: what is wrong, in the same words for all of its kind, and what is done about it.
        where: file and line, or id.
        detail: more, if there is more to say.
    """

    kind: str
    where: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}{f' ({self.detail})' if self.detail else ''}"


class Problems:
    """Collects the flaws of a data set while it is read.

    Args:
        strict: make the first flaw an error.
        otherwise: what happens to flaws where not strict, for that error.
    """

    def __init__(self, *, strict: bool = False, otherwise: str = "this is only reported") -> None:
        self.found: list[Problem] = []
        self._strict = strict
        self._otherwise = otherwise

    def add(self, kind: str, where: object, detail: str = "") -> None:
        """Notes a flaw.

        Raises:
            InputError: where strict.
        """
        self.take(Problem(kind, str(where), " ".join(detail.split())))

    def take(self, problem: Problem) -> None:
        """Notes a flaw that was found before.

        Raises:
            InputError: where strict.
        """
        if self._strict:
            raise InputError(f"{problem}; without --strict {self._otherwise}")
        self.found.append(problem)

    def summary(self) -> list[str]:
        """A line for each kind, the most frequent first, with its count and first examples."""
        counts = Counter(problem.kind for problem in self.found)
        return [
            f"{count:,} x {kind}: {'; '.join(self._examples(kind))}{'; ...' if count > _SHOWN else ''}"
            for kind, count in counts.most_common()
        ]

    def _examples(self, kind: str) -> list[str]:
        alike = [problem for problem in self.found if problem.kind == kind][:_SHOWN]
        return [f"{problem.where}{f' ({problem.detail})' if problem.detail else ''}" for problem in alike]
