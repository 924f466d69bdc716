"""Files that every trial of a search needs."""

from collections.abc import Sequence
from pathlib import Path

from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from tuning.execution.checkpoint_files import CheckpointFiles


def check_files(data: Sequence[str], checkpoints: str) -> None:
    """Checks that the data can still be read, and checkpoints still be written.

    Args:
        data: folders of the prepared data sets.
        checkpoints: path or URI of the folder of checkpoints.

    Raises:
        InputError: if not, for example because a file system is no longer mounted.
    """
    try:
        for folder in data:
            PreparedData.open(Path(folder))
    except InputError as error:
        raise InputError(f"the data can no longer be read: {error}") from error
    try:
        CheckpointFiles(checkpoints).check_writable()
    except OSError as error:
        raise InputError(f"checkpoints can no longer be written: {error}") from error
