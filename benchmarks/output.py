"""Output of benchmarks: a table to read, JSON for a program, or a file."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from san_core.command_line import path


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--json` and `--save`."""
    parser.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    parser.add_argument("--save", type=path, metavar="FILE", help="write the list of objects to a file, too")


def output_results(options: argparse.Namespace, rows: Sequence[dict[str, Any]], tables: Sequence[Table]) -> None:
    """Prints rows as JSON or as tables, and writes them to the file that the options name.

    Args:
        options: options from a parser with `add_output_options`.
        rows: results, of types that JSON has.
        tables: the same results as tables to read.
    """
    if options.save:
        options.save.parent.mkdir(parents=True, exist_ok=True)
        options.save.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(rows))
        return
    for table in tables:
        Console().print(table)
