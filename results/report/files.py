"""Writes tables and reports into the run folder."""

from collections.abc import Callable
from pathlib import Path

from results.report.html import html_report
from results.report.markdown import markdown_report
from results.snapshot import RunSnapshot
from results.tables.trials import comparison, trial_table
from san_core.errors import InputError
from san_core.files import shown, write_atomically


def write_report(snapshot: RunSnapshot) -> None:
    """Writes trial table (CSV and Parquet), comparison (CSV) and report (Markdown and HTML) into the run folder.

    Each file is written atomically.

    Raises:
        InputError: if a file cannot be written.
    """
    folder, trials = snapshot.folder, trial_table(snapshot)
    _replace(folder.trials_csv, lambda path: trials.to_csv(path, index=False))
    _replace(folder.trials_parquet, lambda path: trials.to_parquet(path, index=False))
    _replace(folder.comparison_csv, lambda path: comparison(snapshot).to_csv(path, index=False))
    write_text(folder.report, markdown_report(snapshot))
    write_text(folder.report_page, html_report(snapshot))


def write_text(path: Path, text: str) -> None:
    """Writes a text file, atomically.

    Raises:
        InputError: if it cannot be written.
    """
    _replace(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _replace(path: Path, write_to: Callable[[Path], object]) -> None:
    try:
        write_atomically(path, write_to)
    except OSError as error:
        raise InputError(
            f"cannot write {shown(path.absolute())}: {error}; accepted: a folder that can be written"
        ) from error
