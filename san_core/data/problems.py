"""Problems of a data set: counted and reported; with --strict, or when they cost too many entries, an error."""

from collections import Counter
from dataclasses import dataclass

from san_core.errors import InputError

ALLOWED_LOSS = 0.01
"""Largest share of the entries of a data set that may be left out, unless the user allows more."""

_EXAMPLES = 3


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        kind: the problem and what is done about it; the same text for all problems of a kind.
        where: file and line, or id.
        detail: further details, or empty.
        lost: whether an entry of the data set is left out because of it.
    """

    kind: str
    where: str
    detail: str = ""
    lost: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}{f' ({self.detail})' if self.detail else ''}"


class Problems:
    """The problems found in a data set so far.

    Args:
        strict: raise an error at the first problem.
        otherwise: text for the error that says what happens to problems without `strict`.
        allowed_loss: largest share of the entries that may be left out, in [0, 1]; one entry always may.

    Attributes:
        found: the problems in the order in which they were found.
        entries: number of entries read so far, those left out included.
        notes: lines to tell the user that are no problems, also with `strict`.
    """

    def __init__(
        self,
        *,
        strict: bool = False,
        otherwise: str = "this is only reported",
        allowed_loss: float = ALLOWED_LOSS,
    ) -> None:
        self.found: list[Problem] = []
        self.entries = 0
        self.notes: list[str] = []
        self._strict = strict
        self._otherwise = otherwise
        self._allowed_loss = allowed_loss

    def add(self, kind: str, where: object, detail: str = "") -> None:
        """Adds a problem. Arguments as for `Problem`.

        Raises:
            InputError: if strict.
        """
        self.append(Problem(kind, str(where), " ".join(detail.split())))

    def lose(self, kind: str, where: object, detail: str = "") -> None:
        """Adds a problem because of which an entry is left out. Arguments as for `Problem`.

        Raises:
            InputError: if strict.
        """
        self.append(Problem(kind, str(where), " ".join(detail.split()), lost=True))

    def note(self, line: str) -> None:
        """Adds a line to tell the user that is no problem: an error neither with `strict` nor by its number."""
        self.notes.append(line)

    def check_losses(self) -> None:
        """Checks that few entries are left out.

        Raises:
            InputError: if more are than is allowed; it counts them by reason.
        """
        lost = Counter(problem.kind for problem in self.found if problem.lost)
        if lost.total() <= max(1, self._allowed_loss * self.entries):
            return
        share = lost.total() / self.entries
        reasons = "; ".join(f"{count:,} x {kind}: {self._examples(kind)[0]}" for kind, count in lost.most_common())
        raise InputError(
            f"{lost.total():,} of {self.entries:,} entries ({share:.1%}) would be left out, accepted: up to "
            f"{self._allowed_loss:.1%}, or what --allow-loss says; {reasons}"
        )

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
