"""One-line errors for damaged files of prepared data."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile

from pyarrow import ArrowException
from safetensors import SafetensorError

from san_core.errors import InputError
from san_core.files import is_file, read_start


@contextmanager
def explain_damage(path: Path) -> Iterator[None]:
    """Turns an error of reading a file of prepared data into one that says what to do.

    Raises:
        InputError: if the file cannot be read, is not what it should be, or holds Python objects, which are never
            loaded: loading them could run any program.
    """
    try:
        yield
    except InputError:
        raise
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        BadZipFile,
        UnpicklingError,
        ArrowException,
        SafetensorError,
    ) as error:
        if is_file(path):
            read_start(path, 0)  # which tells of a file that Git LFS has not fetched
        reason = " ".join(str(error).split()) or repr(error)
        raise InputError(f"{path} is damaged ({reason}); delete {path.parent} and prepare the data again") from error
