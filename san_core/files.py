"""Looking at files."""

from pathlib import Path


def is_file(path: Path) -> bool:
    """Whether there is such a file; also False where the name is impossible or may not be looked at."""
    try:
        return path.is_file()
    except OSError:
        return False
