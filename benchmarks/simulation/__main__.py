"""`python -m benchmarks.simulation`: how a search grows, from 1 to 64 GPUs and up to 100,000 trials."""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.output import add_output_options, output_results
from benchmarks.simulation.gpus import EPOCH_TIMES, WIDTHS
from benchmarks.simulation.plot import save_plot
from benchmarks.simulation.recorded_curves import EASY_VQA, RecordedCurves, record
from benchmarks.simulation.search import Outcome, Setting, Simulation
from results.run_folder import RunFolder
from san_core.command_line import path, run_command
from search_spaces import load

SPACE = load("san")
SHARES = ("training", "partly_filled", "turn", "driver", "end")
"""Fields of `DeviceTime`."""

COLUMNS = ("training", "not full", "turn", "driver", "end")
"""What the table calls them."""


def simulate(setting: Setting, network: str, *, journal: bool = False) -> Outcome:
    """Simulates a search, its study in memory or in a journal."""
    curves = RecordedCurves.read(EASY_VQA, SPACE.parameters)
    with tempfile.TemporaryDirectory() as folder:
        return Simulation(setting, SPACE, curves, EPOCH_TIMES[network], Path(folder) if journal else None).run()


def growth_with_gpus(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A search for each network, width and number of GPUs: its time, and where the GPUs' time went."""
    rows: list[dict[str, Any]] = []
    for network in options.networks:
        for width in options.widths:
            first: Outcome | None = None
            for gpus in options.gpus:
                setting = Setting(
                    gpus=gpus,
                    width=width,
                    trials=options.trials,
                    variation=options.variation,
                    ahead=round(options.ahead * gpus) if gpus > 1 else 0,
                )
                found = simulate(setting, network, journal=True)
                first = first or found
                speedup = first.setting.gpus * first.seconds / found.seconds
                shares = {name: getattr(found.devices, name) / found.devices.total for name in SHARES}
                rows.append({"network": network, **asdict(setting), "seconds": found.seconds, "speedup": speedup})
                rows[-1] |= {**shares, "epochs": found.epochs, "best": found.best}
                Console(stderr=True).print(f"{network}, {width} wide, {gpus} GPUs: {found.seconds:,.0f} s")
    return rows


def growth_with_trials(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The cost of the driver per trial, for each sampler, in memory and in a journal, in a search on 8 GPUs."""
    rows = []
    for sampler in options.samplers:
        trials = min(options.growth, options.most_tpe) if sampler == "tpe" else options.growth
        for journal in (False, True):
            setting = Setting(gpus=8, width=16, trials=trials, sampler=sampler, patience=options.patience)
            found = simulate(setting, "vqa", journal=journal)
            for number in [10**power for power in range(2, 10) if 10**power <= len(found.driver)]:
                storage = "journal" if journal else "memory"
                rows.append({"sampler": sampler, "storage": storage, "trials": number, "ms": found.driver_ms(number)})
                Console(stderr=True).print(f"{sampler}, {storage}, {number} trials: {rows[-1]['ms']:.2f} ms per trial")
    return rows


def gpus_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows of `growth_with_gpus` as a table."""
    names = ["network", "width", "GPUs", "trials", "search, s", "speed-up", "best", *COLUMNS]
    table = Table(*names, title="Simulated searches; the last columns are shares of the GPUs' time")
    for row in rows:
        counts = [row["network"], str(row["width"]), str(row["gpus"]), f"{row['trials']:,}"]
        results = [f"{row['seconds']:,.0f}", f"{row['speedup']:.1f}", f"{row['best']:.2%}"]
        table.add_row(*counts, *results, *(f"{row[name]:.1%}" for name in SHARES))
    return table


def trials_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows of `growth_with_trials` as a table."""
    table = Table("sampler", "study", "trials", "ms per trial", title="CPU time of the driver for a trial")
    for row in rows:
        table.add_row(row["sampler"], row["storage"], f"{row['trials']:,}", f"{row['ms']:.2f}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulates searches: their time, the device time that is wasted, and the driver's cost per trial."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=main.__doc__)
    add = parser.add_argument
    add("--gpus", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64], help="default: 1 2 4 8 16 32 64")
    add("--widths", type=int, nargs="+", choices=WIDTHS, default=[16], help="of cohorts (default: 16)")
    add("--networks", nargs="+", choices=EPOCH_TIMES, default=list(EPOCH_TIMES), help="default: all")
    add("--trials", type=int, default=10_000, help="of a search on so many GPUs (default: 10000)")
    add("--variation", type=float, default=0.1, help="of a job's time, up and down, as a share (default: 0.1)")
    add("--ahead", type=float, default=0, help="jobs planned ahead for each of several GPUs (default: 0)")
    add("--growth", type=int, default=100_000, help="trials of the searches that show the driver's cost; 0: none")
    add("--samplers", nargs="+", default=["random", "tpe"], help="of these searches (default: random tpe)")
    add("--most-tpe", type=int, default=1000, help="trials of a search with TPE at most (default: 1000)")
    add("--patience", type=int, help="of these searches (default: none)")
    add("--plot", type=path, metavar="FILE", help="draw the figures into a file, such as growth.png")
    add("--record", type=path, metavar="RUN", help="only record the curves of a run's complete trials")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    if options.record:
        run = RunFolder.open(options.record)
        count = record(run.study().trials, run.setting("fixed")["epochs"], EASY_VQA)
        print(f"recorded {count} curves")
        return 0
    by_gpus = growth_with_gpus(options) if options.trials else []
    by_trials = growth_with_trials(options) if options.growth else []
    if options.plot:
        save_plot(by_gpus, by_trials, options.plot)
    output_results(options, [*by_gpus, *by_trials], [gpus_table(by_gpus), trials_table(by_trials)])
    return 0


if __name__ == "__main__":
    run_command(main)
