"""A lock on a file that is free again when the process that held it is killed."""

import errno
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
"""Errors of a file system that has no locks, as some network and FUSE file systems."""


@contextmanager
def hold_lock(path: Path, *, wait: bool = False, on_wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Holds a lock while the block runs.

    On a file system without locks the lock is a second file that names the process; it is free once that is gone.

    Args:
        path: file of the lock; it is made if it is missing, and stays.
        wait: wait until no other process holds the lock.
        on_wait: function that is called before it waits.

    Raises:
        filelock.Timeout: if another process holds the lock, and `wait` is not set.
        OSError: if the file cannot be written.
    """
    try:
        lock = _acquire(path, 0)
    except Timeout:
        if not wait:
            raise
        on_wait()
        lock = _acquire(path, -1)
    try:
        yield
    finally:
        lock.release()


def _acquire(path: Path, timeout: float) -> BaseFileLock:
    lock: BaseFileLock = FileLock(path)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "flock not supported")  # filelock itself goes on as below then
            lock.acquire(timeout=timeout)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        lock = SoftFileLock(path.with_name(f"{path.name}.held"))
        lock.acquire(timeout=timeout)
    return lock
