"""The files that are made from a run folder."""

from collections.abc import Callable
from pathlib import Path

from results.report.html import page
from results.report.markdown import markdown
from results.run_folder import write_whole
from results.snapshot import Source, read
from results.tables.trials import comparison, trial_table
from san_core.errors import InputError


def write(run: Source) -> None:
    """Writes trial table (CSV and Parquet), comparison (CSV) and report (Markdown and HTML) into the run folder.

    Each file appears only when it is whole.

    Raises:
        InputError: if the folder cannot be read or written.
    """
    record = read(run)
    folder, trials = record.folder, trial_table(record)
    _replace(folder.trials_csv, lambda path: trials.to_csv(path, index=False))
    _replace(folder.trials_parquet, lambda path: trials.to_parquet(path, index=False))
    _replace(folder.comparison_csv, lambda path: comparison(record).to_csv(path, index=False))
    write_text(folder.report, markdown(record))
    write_text(folder.report_page, page(record))


def write_text(path: Path, text: str) -> None:
    """Writes a text file, which appears only when it is whole.

    Raises:
        InputError: if it cannot be written.
    """
    _replace(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _replace(path: Path, write_to: Callable[[Path], object]) -> None:
    try:
        write_whole(path, write_to)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}; accepted: a folder that can be written") from error
