"""The hidden folder in which data are prepared until they are complete; one process at a time has its lock."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from san_core.command_line import print_message
from san_core.data.encoded_rows import LOG, ROWS, has_rows
from san_core.data.prepared import PROBLEMS
from san_core.data.problems import Problems
from san_core.errors import InputError
from san_core.file_lock import hold_lock
from san_core.files import exists, make_folder


@contextmanager
def lock(out: Path, on_wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Waits until no other process prepares `out`, and keeps others waiting; calls `on_wait` before it waits."""
    make_folder(out.parent, exist_ok=True)
    lock = out.with_name(f".{out.name}.lock")
    with hold_lock(lock, wait=True, on_wait=on_wait):
        try:
            yield
        finally:
            # Once the file is deleted, a process that waits for it and one that creates it again can run at the same
            # time. That does no harm when `out` exists, since both only read it then. Until then the file stays.
            if exists(out):
                lock.unlink(missing_ok=True)


@contextmanager
def partial_folder(out: Path, problems: Problems) -> Iterator[Path]:
    """The hidden folder that becomes `out`. Of what an earlier run left there, the encoded images are kept.

    After an InputError the problems found so far are printed, since they may explain it, and listed in the folder. It
    is deleted if there are neither problems nor encoded images.
    """
    partial = new_partial(out)
    try:
        yield partial
    except InputError:
        for line in problems.summary():
            print_message(line)
        if problems.found:
            list_problems(problems, partial)
            print_message(f"{partial / PROBLEMS} lists all problems")
        elif not has_rows(partial):
            shutil.rmtree(partial, ignore_errors=True)
        raise


def new_partial(out: Path) -> Path:
    """Makes the hidden folder beside `out`, or empties it but for encoded images, and returns it. Needs the lock."""
    partial = out.with_name(f".{out.name}.partial")
    partial.mkdir(exist_ok=True)
    for file in partial.iterdir():
        if file.name not in {LOG, *ROWS}:
            file.unlink()
    return partial


def list_problems(problems: Problems, folder: Path) -> None:
    """Writes one line for each problem into `problems.txt` of the folder."""
    (folder / PROBLEMS).write_text("".join(f"{problem}\n" for problem in problems.found), encoding="utf-8")
