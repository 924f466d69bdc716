"""Environment variables that libraries read, set for as long as they are needed."""

import contextlib
import os
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def environment_variables(wanted: Mapping[str, str | None]) -> Iterator[None]:
    """Gives environment variables a value for as long as the context lasts; then each is as it was before.

    Args:
        wanted: values by the variable's name. A variable that has a value already keeps it. None sets nothing: the
            variable is one that a library sets by itself.
    """
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if value is not None and before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
