"""`python -m benchmarks.damaged_inputs`: gives the commands random and damaged inputs, and counts what goes wrong.

Whatever a user types, and whatever has become of a file, a command ends with exit code 0, or with 2 and one line that
says what is wrong (1 where that is documented), and leaves nothing half-written.

`--seed` and the number of an input repeat it: `--seed 1 --only 7` gives input 7 alone.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.chaos.data import prepare_squares
from benchmarks.damaged_inputs.giving import Outcome, give_inputs
from benchmarks.damaged_inputs.inputs import KINDS
from benchmarks.output import add_output_options, output_results
from san_core.command_line import CommandLine, number, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Gives the commands random inputs and prints how they ended; 1 if one of them ended as none should."""
    parser = CommandLine("benchmarks.damaged_inputs", "Gives the commands random and damaged inputs.")
    at_least_1, at_least_0 = number(int, at_least=1), number(int, at_least=0)
    parser.add_argument("--inputs", type=at_least_1, default=10_000, metavar="N", help="number of inputs")
    parser.add_argument("--seed", type=at_least_0, default=0, help="of the inputs")
    parser.add_argument("--only", type=at_least_0, metavar="NUMBER", help="give only the input with this number")
    parser.add_argument("--parallel", type=at_least_1, default=2, metavar="N", help="processes that give inputs")
    add_output_options(parser)
    options: argparse.Namespace = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        data = prepare_squares(Path(temporary)).folder
        outcomes = _give_in_parallel(data, options)
    rows = rows_of(outcomes)
    title = f"{len(outcomes):,} random inputs, seed {options.seed}, {time.monotonic() - began:.0f} s"
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*map(str, row.values()))
    output_results(options, rows, [table])
    return int(any(outcome.fault for outcome in outcomes))


def _give_in_parallel(data: Path, options: argparse.Namespace) -> list[Outcome]:
    """The outcomes of all inputs, each given by one of several processes."""
    if options.only is not None:
        return give_inputs(data, [options.only], options.seed)
    parts = [range(first, options.inputs, options.parallel) for first in range(options.parallel)]
    with ProcessPoolExecutor(options.parallel, multiprocessing.get_context("spawn")) as processes:
        futures = [processes.submit(give_inputs, data, part, options.seed) for part in parts]
        return [outcome for future in futures for outcome in future.result()]


def rows_of(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row for each kind of input, and one for all of them."""
    kinds = {kind: [each for each in outcomes if each.kind == kind] for kind in KINDS}
    return [_count(name, own) for name, own in [*kinds.items(), ("in all", outcomes)] if own]


def _count(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    codes = Counter(outcome.code for outcome in outcomes)
    by_code = {f"exit code {code}": codes[code] for code in (0, 1, 2)}
    return {"kind": name, "inputs": len(outcomes), **by_code, "faults": sum(bool(each.fault) for each in outcomes)}


if __name__ == "__main__":
    run_command(main)
