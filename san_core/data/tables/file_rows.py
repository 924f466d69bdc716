"""The rows of a file as the readers of its formats return them."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class FileRows(NamedTuple):
    """What is counted, for each row its place and number in the file, and the rows; see `records.Rows`."""

    unit: str
    places: Sequence[int | str]
    numbers: Sequence[int]
    rows: list[dict[str, Any]]
