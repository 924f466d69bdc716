"""Collects error messages, so that all of them can be shown at once."""

from types import TracebackType

from san_core.errors import InputError


class Problems:
    """What was found wrong so far: `with problems:` around each check, then `problems.raise_all()`.

    The rest of a block is skipped after an `InputError`; blocks may be nested.

    Attributes:
        found: the messages, each once.
    """

    def __init__(self) -> None:
        self.found: list[str] = []

    def __enter__(self) -> None:
        """Begins a check."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Takes an `InputError` in; any other exception passes."""
        if not isinstance(error, InputError):
            return False
        if str(error) not in self.found:
            self.found.append(str(error))
        return True

    def raise_all(self) -> None:
        """Ends the checks.

        Raises:
            InputError: if there are any messages; it has all of them.
        """
        if self.found:
            raise InputError("; ".join(self.found))
