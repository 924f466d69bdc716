"""`python -m results RUN`: what a search found, on the screen and as files in its run folder."""

import json

from results.record import read
from results.report import write
from results.summary import as_json, print_summary
from san_core.command_line import CommandLine, run_command
from san_core.errors import InputError
from tuning.run_folder import RunFolder


def main() -> None:
    """Reads a run folder, prints what it found, and writes its tables and report."""
    parser = CommandLine("results", "Shows what a search found and writes its tables and report into its run folder.")
    parser.add_argument("run", metavar="RUN", help="name of a run under runs/, or a path with a slash")
    parser.add_argument("--json", action="store_true", help="print verdict, comparison and trials as JSON")
    options = parser.parse_args()
    record = read(RunFolder.open(RunFolder.locate(options.run, "")))
    unwritable = None
    try:
        write(record)
    except InputError as error:  # said last, so that the result is shown all the same
        unwritable = error
    if options.json:
        print(json.dumps(as_json(record), indent=2))
    else:
        print_summary(record)
    if unwritable:
        raise unwritable
    if not options.json:
        print_files(record.folder)


def print_files(folder: RunFolder) -> None:
    """Prints where the files lie, each path on a line of its own."""
    print("\nWritten:")
    for path in (folder.report, folder.trials_csv, folder.trials_parquet, folder.comparison_csv):
        print(f"  {path}")


if __name__ == "__main__":
    run_command(main)
