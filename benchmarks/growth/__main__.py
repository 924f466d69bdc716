"""`python -m benchmarks.growth`: the cost of a trial as a search grows, here and with stock Ray Tune.

Null trials run on a simulated cluster, see `benchmarks.growth.simulated_cluster`. Each search is a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.chaos.data import prepare_squares
from benchmarks.output import add_output_options, output_results
from san_core.command_line import run_command

Costs = list[tuple[int, float, float, float]]
"""What a search has cost: trials ended, CPU seconds, wall seconds, and MiB of memory, ascending."""


def measured(engine: str, data: Path, options: argparse.Namespace, nodes: int) -> tuple[Costs, bool]:
    """Runs a search; returns what it has cost, and whether it has ended within the time limit."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--engine", engine, "--folder", folder, "--data", str(data), "--sampler", options.sampler]
        arguments += ["--trials", str(options.trials), "--nodes", str(nodes)]
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.growth", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=None if options.verbose else subprocess.DEVNULL,
        ) as process:
            try:
                ended = process.wait(options.seconds) == 0
            except subprocess.TimeoutExpired:
                ended = False
                process.terminate()
                process.wait()
        path = Path(folder) / "costs"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [tuple(json.loads(line)) for line in lines], ended


def rows(costs: Costs, points: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The cost of a trial over the second half of the first n trials, for each n that was reached."""
    for point in sorted({*(n for n in points if n < costs[-1][0]), costs[-1][0]} if costs else ()):
        first = max((cost for cost in costs if cost[0] <= point // 2), key=lambda cost: cost[0])
        last = max((cost for cost in costs if cost[0] <= point), key=lambda cost: cost[0])
        if trials := last[0] - first[0]:
            yield {
                "trials": last[0],
                "CPU ms": 1000 * (last[1] - first[1]) / trials,
                "wall ms": 1000 * (last[2] - first[2]) / trials,
                "memory MiB": last[3],
            }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what a trial costs the process of the search, over the second half of the first 100, 1,000, ... trials."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=main.__doc__)
    parser.add_argument("--trials", type=int, default=10_000, help="of each search (default: 10,000)")
    parser.add_argument("--nodes", type=int, nargs="+", default=[200], help="with a trial each (default: 200)")
    parser.add_argument("--points", type=int, nargs="+", default=[100, 1_000, 10_000], help="(default: 100 1000 10000)")
    parser.add_argument("--engines", nargs="+", choices=["here", "stock"], default=["here", "stock"])
    parser.add_argument("--sampler", default="random", help="of both (default: random)")
    parser.add_argument("--seconds", type=float, default=300, help="after which a search is stopped (default: 300)")
    parser.add_argument("--verbose", action="store_true", help="show what the searches print to stderr")
    add_output_options(parser)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.engine:
        from benchmarks.growth.engines import ENGINES  # importing it starts to set Ray up

        ENGINES[options.engine](options.folder, options.data, options.trials, options.nodes[0], options.sampler)
        return 0
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = prepare_squares(Path(folder)).folder
        for nodes in options.nodes:
            for engine in options.engines:
                costs, ended = measured(engine, data, options, nodes)
                found = list(rows(costs, options.points))
                results += [{"engine": engine, "nodes": nodes, **row} for row in found]
                if not ended:
                    results.append({"engine": engine, "nodes": nodes, "trials": "stopped"})
    output_results(options, results, [_table(results)])
    return 0


def _table(results: Sequence[dict[str, Any]]) -> Table:
    columns = ["engine", "nodes", "trials", "CPU ms", "wall ms", "memory MiB"]
    table = Table(*columns, title="Null trials on a simulated cluster: cost of each")
    for row in results:
        values = (row.get(column, "") for column in columns)
        table.add_row(*(f"{value:,.1f}" if isinstance(value, float) else str(value) for value in values))
    return table


if __name__ == "__main__":
    run_command(main)
