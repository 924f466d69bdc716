"""Templates of pages and documents, in Jinja's language."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates(folder: Path, *, html: bool = True) -> Environment:
    """The templates of a folder. A variable that they are not given is an error; lines of statements leave no blanks.

    Args:
        folder: where they are.
        html: whether texts are escaped for HTML; otherwise they stay, and so does the line end of the last line.
    """
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
    )
