"""`python -m benchmarks.gpu`: training on one GPU, in parts; results are printed as they come."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.data import EASY_VQA, open_data
from benchmarks.gpu.epochs import epoch_rows
from benchmarks.gpu.packed import PROCESSES, packed_rows
from benchmarks.gpu.parts import LIMITS, SEARCH_LIMITS, SHAPE_LIMITS, part_command, run_part
from benchmarks.gpu.searches import WAYS, search_rows
from benchmarks.gpu.steps import rows_of, sized_shapes
from benchmarks.gpu.timing import QUICK, Scale, bfloat16_rate
from benchmarks.rivals.task import Task
from san_core.command_line import path, run_command

SLACK = 5.0
"""Seconds that a search's part needs besides the search, to clean up within its limit."""

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Times training on one GPU: steps, an epoch, packed processes, and whole searches."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _options(given)
    if options.part:
        for row in rows_of_part(options.part, options):
            print(json.dumps(row), flush=True)
        return
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    console = Console(width=150)
    console.print(f"{name}, torch {torch.__version__}")
    if any(part in SEARCH_LIMITS for part in options.parts):
        open_data(options.data)  # its images are encoded before any search is timed
    found = []
    for part in options.parts:
        for row in run_part(part_command(part, given), options.limit or LIMITS[part]):
            found.append({"part": part, **row})
            console.print("  ".join([part, *(f"{key}: {_text(value)}" for key, value in row.items())]))
            if options.save:
                with options.save.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"device": name, **found[-1]}) + "\n")
    for table in tables(found, name):
        console.print(table)


def _options(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=main.__doc__)
    add = parser.add_argument
    add("--device", default="cuda", help="default: cuda")
    add("--quick", action="store_true", help="run all the code with next to no work")
    add("--parts", nargs="+", choices=LIMITS, default=list(LIMITS), help="default: all")
    add("--members", type=int, nargs="+", help="cohort widths of the steps; default: 1 4 16 64")
    add("--data", type=path, default=EASY_VQA, help=f"of the searches (default: {EASY_VQA})")
    add("--trials", type=int, default=64, help="of a search (default: 64)")
    add("--epochs", type=int, default=10, help="of a trial (default: 10)")
    add("--limit", type=float, metavar="SECONDS", help="of each part (default: each has its own)")
    add("--save", type=path, metavar="FILE", help="add the results to a file, an object of JSON on each line")
    add("--part", choices=LIMITS, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def rows_of_part(part: str, options: argparse.Namespace) -> Iterator[Row]:
    """Measures a part in this process."""
    device, scale = torch.device(options.device), QUICK if options.quick else Scale()
    scale = replace(scale, members=tuple(options.members)) if options.members else scale
    if part in SHAPE_LIMITS:
        return step_rows(part, scale, device)
    if part in WAYS:
        gpus = float(device.type == "cuda")
        task = Task(str(options.data), "san", 0, options.trials, options.epochs, log="", folder="", gpus=gpus)
        return search_rows(part, task, (options.limit or SEARCH_LIMITS[part]) - SLACK)
    others: Mapping[str, Callable[[], Iterator[Row]]] = {
        "epoch": partial(epoch_rows, scale, device),
        "packed": partial(packed_rows, sized_shapes(["easy-vqa"])[0], scale, device, 2 if options.quick else PROCESSES),
    }
    return others[part]()


def step_rows(name: str, scale: Scale, device: torch.device) -> Iterator[Row]:
    """Every way to train a shape."""
    rate = bfloat16_rate(scale.matrix, device)
    yield {"bfloat16 products, TFLOP/s": rate / 1e12}
    for row in rows_of(sized_shapes([name])[0], scale, device, rate):
        yield asdict(row)


def tables(found: Sequence[Row], name: str) -> list[Table]:
    """The results as tables, those with equal columns in one."""
    by_columns: dict[tuple[str, ...], Table] = {}
    for row in found:
        columns = tuple(row)
        if columns not in by_columns:
            by_columns[columns] = Table(*columns, title=f"{name}, torch {torch.__version__}")
        by_columns[columns].add_row(*map(_text, row.values()))
    return list(by_columns.values())


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}"
    return str(value)


if __name__ == "__main__":
    run_command(main)
