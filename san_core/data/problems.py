"""Problems of a data set: counted and reported; with --strict, or when they cost too many entries, an error."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice

from san_core.errors import InputError

ALLOWED_LOSS = 0.01
"""Largest share of the entries of a file that may be left out, unless the user allows more."""

_EXAMPLES = 3


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        kind: the problem and what is done about it; the same text for all problems of a kind.
        where: file and line, or id.
        detail: further details, or empty.
        lost: number of entries that are left out because of it.
        file: the file that the entries are from; empty if it does not matter.
    """

    kind: str
    where: str
    detail: str = ""
    lost: int = 0
    file: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}{f' ({self.detail})' if self.detail else ''}"


class Problems:
    """The problems found in a data set so far, and how many entries of each file they cost.

    Args:
        strict: raise an error at the first problem.
        otherwise: text for the error that says what happens to problems without `strict`.
        allowed_loss: largest share of the entries of a file that may be left out, in [0, 1); one of several always may.
            None: `ALLOWED_LOSS`, and no file may be damaged so that the number of its lost entries is unknown.

    Attributes:
        found: the problems in the order in which they were found.
        notes: lines to tell the user that are no problems, also with `strict`.
    """

    def __init__(
        self,
        *,
        strict: bool = False,
        otherwise: str = "this is only reported",
        allowed_loss: float | None = None,
    ) -> None:
        self.found: list[Problem] = []
        self._files: Counter[str] = Counter()
        self._damaged: set[str] = set()
        self.notes: list[str] = []
        self._strict = strict
        self._otherwise = otherwise
        self._allowed_loss = ALLOWED_LOSS if allowed_loss is None else allowed_loss
        self._allows_damage = allowed_loss is not None

    def add_file(self, file: object, entries: int) -> None:
        """Counts the entries read from a file, those left out included. The losses of each file are checked alone."""
        self._files[str(file)] += entries

    def add(self, kind: str, where: object, detail: str = "") -> None:
        """Adds a problem. Arguments as for `Problem`.

        Raises:
            InputError: if strict.
        """
        self.append(Problem(kind, _place(where), " ".join(detail.split())))

    def lose(self, kind: str, where: object, detail: str = "", *, file: object = "", entries: int = 1) -> None:
        """Adds a problem because of which entries are left out. Arguments as for `Problem`.

        Raises:
            InputError: if strict.
        """
        self.append(Problem(kind, _place(where), " ".join(detail.split()), lost=entries, file=str(file)))

    def note(self, line: str) -> None:
        """Adds a line to tell the user that is no problem: an error neither with `strict` nor by its number."""
        self.notes.append(line)

    def lose_rest(self, kind: str, where: object, detail: str, *, file: object, entries: int) -> None:
        """Adds damage that hides the rest of a file: `entries` are left out, and maybe more, which nobody can count.

        Raises:
            InputError: if strict.
        """
        self._damaged.add(str(file))
        self.lose(kind, where, detail, file=file, entries=entries)

    def check_losses(self) -> None:
        """Checks that few entries of each file are left out.

        Raises:
            InputError: if more are than is allowed, or all of them; it counts them by reason.
        """
        lost: dict[str, Counter[str]] = {}
        for problem in self.found:
            if problem.lost:
                lost.setdefault(problem.file, Counter())[problem.kind] += problem.lost
        messages = [self._describe(file, reasons) for file, reasons in lost.items() if self._too_many(file, reasons)]
        if messages:
            whole = " of a file that is whole" if self._damaged and not self._allows_damage else ""
            accepted = f"accepted: up to {self._allowed_loss:.1%}{whole}; --allow-loss SHARE accepts more"
            raise InputError(f"{'; '.join(messages)}; {accepted}")

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

    def _entries_of(self, file: str) -> int:
        return self._files[file] if file else self._files.total()

    def _too_many(self, file: str, reasons: Counter[str]) -> bool:
        lost, entries = reasons.total(), self._entries_of(file)
        if file in self._damaged and not self._allows_damage:
            return True
        return 0 < entries <= lost or lost > max(1, self._allowed_loss * entries)

    def _describe(self, file: str, reasons: Counter[str]) -> str:
        lost, entries = reasons.total(), self._entries_of(file)
        at_least = "at least " if file in self._damaged else ""
        name = f" of {file}" if file else ""
        counts = "; ".join(
            f"{count:,} x {kind.removesuffix(', left out')}: {self._example(file, kind)}"
            for kind, count in reasons.most_common()
        )
        return f"{at_least}{lost:,} of {entries:,} entries{name} ({lost / entries:.1%}) would be left out: {counts}"

    def _example(self, file: str, kind: str) -> str:
        problem = next(
            problem for problem in self.found if problem.lost and (problem.file, problem.kind) == (file, kind)
        )
        return _with_detail(problem).removeprefix(f"{file} ")

    def _examples(self, kind: str) -> list[str]:
        alike = (problem for problem in self.found if problem.kind == kind)
        return [_with_detail(problem) for problem in islice(alike, _EXAMPLES)]


def _with_detail(problem: Problem) -> str:
    return f"{problem.where}{f' ({problem.detail})' if problem.detail else ''}"


def _place(where: object) -> str:
    return " ".join(str(where).splitlines())  # an id may have line ends
