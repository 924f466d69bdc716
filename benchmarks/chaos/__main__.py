"""`python -m benchmarks.chaos`: disturbs searches at random moments, resumes them, and counts what was lost.

Processes are killed and stopped, the disk is full, the power is cut, files are damaged. However often that happens, a
search must end with all its trials and its report, leave no process behind, and have the very scores of a search that
was left alone (with one trial at a time; with several, the machine decides which ends first).

With `--cluster` each search runs over three hosts that share nothing (namespaces of this machine). Processes and whole
hosts are killed, and hosts are cut off the network.

`--seed` and the number of a search repeat its events: `--seed 1 --only 7` runs search 7 alone. The moments are the same
then, too, but what the search is doing at that moment depends on the machine.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import optuna
from rich.table import Table

from benchmarks.chaos.cluster_events import KINDS as CLUSTER_KINDS
from benchmarks.chaos.data import prepare_squares
from benchmarks.chaos.disk import Disk
from benchmarks.chaos.events import KINDS, impossible_kinds
from benchmarks.chaos.hosts import missing_for_hosts
from benchmarks.chaos.sandbox import undisturbed
from benchmarks.chaos.searches import Plan, Result, Searches, make_sandbox
from benchmarks.output import add_output_options, output_results
from san_core.command_line import path, run_command
from san_core.errors import InputError

ALL_KINDS = tuple(dict.fromkeys((*KINDS, *CLUSTER_KINDS)))
"""All kinds of events, on one machine or on a cluster."""

TRIALS, TRIALS_ON_CLUSTER = 24, 40
SETTINGS = ("hidden_size=256", "attention_size=128", "batch_size=8", "epochs=3")


def main(arguments: Sequence[str] | None = None) -> int:
    """Disturbs searches at random moments, resumes them, and counts what was lost; exit code 1 if anything was."""
    options = _options(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as temporary:
        searches = Searches(_plan(Path(temporary), options))
        with suppress(KeyboardInterrupt):  # the searches that run go on to their ends, and what was found is printed
            if options.only is None:
                searches.run(options.events, options.parallel)
            else:
                searches.run_one(options.only)
    rows = rows_of(searches.results)
    output_results(options, rows, [_table(rows)])
    print(_summary(searches.results, time.monotonic() - began, options))
    return int(any(row["faults"] for row in rows))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=main.__doc__)
    add = parser.add_argument
    add("--events", type=int, default=60, help="at least so many (default: %(default)s)")
    add("--cluster", action="store_true", help="searches run over three hosts that share nothing; needs root")
    kinds = f"of {', '.join(KINDS)}; with --cluster of {', '.join(CLUSTER_KINDS)}"
    add("--kinds", nargs="+", choices=ALL_KINDS, default=list(ALL_KINDS), metavar="KIND", help=kinds)
    add("--each", type=int, default=40, help="events that are planned for a search (default: %(default)s)")
    add("--stop", type=float, default=20, help="seconds for which a process is stopped (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the events and their moments (default: %(default)s)")
    add("--only", type=int, metavar="NUMBER", help="run only the search with this number")
    add("--parallel", type=int, default=3, help="searches at a time (default: %(default)s)")
    add(
        "--keep",
        type=path,
        default=Path("benchmarks-out/chaos"),
        help="for searches with faults (default: %(default)s)",
    )
    add_output_options(parser)
    return parser.parse_args(arguments)


def _plan(folder: Path, options: argparse.Namespace) -> Plan:
    """Prepares the data, and runs a search that is left alone."""
    print(f"seed {options.seed}", flush=True)
    data = prepare_squares(folder)
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    trials = TRIALS_ON_CLUSTER if options.cluster else TRIALS
    search = ("--data", str(data.folder), "--trials", str(trials), "--confirm", "0", "--max-failures", "99", *settings)
    kinds = _possible_kinds(folder, options)
    expected = [] if options.cluster else undisturbed(make_sandbox(folder / "undisturbed", search), "--concurrent", "1")
    return Plan(
        folder=folder,
        kept=options.keep,
        arguments=search,
        trials=trials,
        expected=expected,
        kinds=kinds,
        seed=options.seed,
        each=options.each,
        stop_seconds=options.stop,
        on_cluster=options.cluster,
    )


def _possible_kinds(folder: Path, options: argparse.Namespace) -> list[str]:
    """The kinds of events that were asked for and can be made here.

    Raises:
        InputError: if a cluster is asked for, and no hosts can be made.
    """
    if options.cluster:
        if missing := missing_for_hosts():
            raise InputError(f"--cluster: {missing}")
        return [kind for kind in CLUSTER_KINDS if kind in options.kinds]
    with closing(Disk(folder)) as disk:
        impossible = {kind: why for kind, why in impossible_kinds(disk).items() if kind in options.kinds}
    for kind, why in impossible.items():
        print(f"left out: {kind}, since {why}", flush=True)
    return [kind for kind in KINDS if kind in options.kinds and kind not in impossible]


def rows_of(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row for each kind of events, and one for the ends of the searches."""
    events = [event for result in results for event in result.outcome.events]
    rows: list[dict[str, Any]] = []
    for kind in ALL_KINDS:
        of_kind = [event for event in events if event.kind == kind]
        ended = sum(event.ended for event in of_kind)
        faults = sum(bool(event.faults) for event in of_kind)
        if of_kind:
            row = {"events": len(of_kind), "went on": len(of_kind) - ended, "ended and resumed": ended}
            rows.append({"kind": kind, **row, "faults": faults})
    totals = {name: sum(row[name] for row in rows) for name in ("events", "went on", "ended and resumed")}
    at_end = sum(bool(result.faults or result.outcome.faults) for result in results)
    rows.append({"kind": "in all", **totals, "faults": sum(row["faults"] for row in rows) + at_end})
    return rows


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(*rows[0], title="Disturbed searches")
    for row in rows:
        table.add_row(*map(str, row.values()))
    return table


def _summary(results: Sequence[Result], seconds: float, options: argparse.Namespace) -> str:
    starts = sum(result.outcome.starts for result in results)
    faulty = sum(result.has_faults() for result in results)
    trials = TRIALS_ON_CLUSTER if options.cluster else TRIALS
    clear = max((result.outcome.slowest_to_clear for result in results), default=0)
    return (
        f"{len(results)} searches of {trials} trials, {starts} starts, {seconds:.0f} s, seed {options.seed}; "
        f"the last process of a search ended at most {clear:.0f} s after it; searches with faults: {faulty}"
        f"{f', kept in {options.keep}' if faulty else ''}"
    )


if __name__ == "__main__":
    run_command(main)
