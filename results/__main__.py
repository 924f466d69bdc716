"""`python -m results RUN [RUN ...]`: what searches found, on the screen and as files."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from results.report.files import write_report, write_text
from results.run_folder import RunFolder
from results.snapshot import RunSnapshot, load_snapshot
from results.summary import as_json, print_overview, print_summary
from san_core.command_line import CommandLine, number, path, print_message, run_command
from san_core.errors import InputError
from san_core.files import shown

PORTS = 2**16


def main() -> None:
    """Reads run folders, prints what was found, and writes tables and reports."""
    options = _parse()
    folders = [RunFolder.open(RunFolder.locate(name)) for name in options.runs]
    if options.live:
        from results.live import serve

        serve(folders[0], options.port, print_message)
    elif len(folders) == 1:
        _show(load_snapshot(folders[0]), as_json_text=options.json)
    else:
        _compare([load_snapshot(folder) for folder in folders], options.out, as_json_text=options.json)


def _parse() -> argparse.Namespace:
    parser = CommandLine(
        "results",
        "Shows what searches found and writes tables and report into each run folder; of several, a comparison too.",
    )
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", help="name of a run under runs/, or a path with a slash")
    add("--out", type=path, metavar="FILE", help="comparison to write (default: comparison.html beside the first run)")
    add("--json", action="store_true", help="print verdict, comparison and trials as JSON, a list for several runs")
    add("--live", action="store_true", help="open Optuna's dashboard on the run, which may be running")
    add(
        "--port", type=number(int, at_least=0, below=PORTS), default=8080, help="of --live, on 127.0.0.1; 0: a free one"
    )
    options = parser.parse_args()
    if len(options.runs) > 1 and options.live:
        parser.error("--live shows one run")
    if len(options.runs) == 1 and options.out:
        parser.error("--out goes with several runs; the report of one is in its folder")
    return options


def _show(snapshot: RunSnapshot, *, as_json_text: bool) -> None:
    unwritable = None
    try:
        write_report(snapshot)
    except InputError as error:  # raised at the end, so that the result is printed all the same
        unwritable = error
    if as_json_text:
        print(json.dumps(as_json(snapshot), indent=2))
    else:
        print_summary(snapshot)
    if unwritable:
        raise unwritable
    if not as_json_text:
        print_files(snapshot.folder)


def _compare(snapshots: Sequence[RunSnapshot], out: Path | None, *, as_json_text: bool) -> None:
    from results.report.comparison import comparison_page, overview_table, reasons_not_to_compare, snapshots_by_name

    runs = snapshots_by_name(snapshots)
    if len(runs) < len(snapshots):
        raise InputError("the same run was given twice; accepted: different runs")
    path = out or snapshots[0].folder.path.parent / "comparison.html"
    for snapshot in snapshots:
        write_report(snapshot)
    write_text(path, comparison_page(runs, path))
    if as_json_text:
        print(json.dumps([as_json(snapshot) for snapshot in snapshots], indent=2))
        return
    print_overview(overview_table(runs))
    for line in reasons_not_to_compare(runs):
        print(line)
    _list_files([path, *(snapshot.folder.report_page for snapshot in snapshots)])


def print_files(folder: RunFolder) -> None:
    """Prints the paths of the files that were written, a line each."""
    _list_files([folder.report_page, folder.report, folder.trials_csv, folder.trials_parquet, folder.comparison_csv])


def _list_files(paths: Sequence[Path]) -> None:
    print("\nWritten:")
    for written in paths:
        print(f"  {shown(written.absolute())}")


if __name__ == "__main__":
    run_command(main)
