"""`python -m benchmarks.policies simulate`: replays searches on recorded curves, and compares what they pick."""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.output import add_output_options, output_results
from benchmarks.policies.choices import SCORES, Choice
from benchmarks.policies.curves import Curves
from benchmarks.policies.outcomes import Outcomes, Part, Plan, simulate_part
from benchmarks.policies.processes import results_as_done
from benchmarks.policies.replay import make_pruner
from san_core.command_line import CommandLine, number, path, print_message
from san_core.errors import InputError
from san_core.machine_limits import usable_cpus

WITHIN = 0.005
"""A pick is good if its true score is below the best one by no more than this."""

_ROUNDING = 1e-9

PRUNERS = (
    "none",
    "halving",
    "tolerant-0",
    "tolerant-0.5",
    "tolerant-1",
    "tolerant-1.5",
    "tolerant-2",
    "median",
    "hyperband",
)
CHOICES = ("best", "top-3x2", "race-3x2", "top-5x3", "race-5x3")

COLUMNS = {
    "pruner": "{pruner}",
    "score": "{score}",
    "choice": "{choice}",
    "good": "{good:.1%}",
    "regret": "{regret:.2f} ± {error:.2f}",
    "claim": "{optimism:+.2f}",
    "trials": "{trials:.0f}",
    "fresh": "{confirmation:.0f}",
}
"""Headings of a table, and what is below them; the last is the number of epochs under fresh seeds."""

PART = 25
"""Repetitions that a process replays for one pruner before it takes other ones."""


def rows_of(plan: Plan, pruner: str, outcomes: Outcomes) -> list[dict[str, Any]]:
    """A row for each of `Plan.searches`.

    The share of good picks, and means over all repetitions: regret, with its standard error, and optimism in points;
    trials started; epochs of the final choice.
    """
    repetitions = outcomes.shape[1]
    errors = outcomes.std(axis=1, ddof=1) / np.sqrt(repetitions)
    return [
        {
            "pruner": pruner,
            "score": score,
            "choice": choice.name,
            "budget": budget,
            "good": float((regret <= WITHIN + _ROUNDING).mean()),
            "regret": 100 * float(regret.mean()),
            "error": 100 * float(error),
            "optimism": 100 * float(optimism.mean()),
            "trials": float(trials.mean()),
            "confirmation": float(confirmation.mean()),
            "repetitions": repetitions,
        }
        for (score, choice, budget), (regret, optimism, trials, confirmation), error in zip(
            plan.searches, outcomes.transpose(0, 2, 1), errors[:, 0], strict=True
        )
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints how good the picks of searches are, by pruner, score of a trial, final choice and budget."""
    options = _parse(arguments)
    began, curves = time.monotonic(), Curves.read(options.recorded)
    choices = tuple(Choice.of(name) for name in options.choices)
    for name in options.pruners:
        make_pruner(name, curves.lengths)
    most = max(choice.seeds for choice in choices)
    if not most <= options.fresh < curves.seeds:
        raise InputError(
            f"--fresh must be at least {most}, the seeds of the choices, and less than {curves.seeds}, the recorded "
            f"seeds, but got {options.fresh}"
        )
    scores, budgets = tuple(options.scores), tuple(options.budgets)
    plan = Plan(options.recorded, scores, choices, budgets, options.fresh, options.at_once, options.seed)
    if not plan.searches:
        raise InputError(f"--budgets {max(options.budgets)} is too small for a search and its final choice")
    print_message(describe(curves))
    rows = _simulate(plan, options)
    print_message(f"{options.repetitions:,} repetitions, seed {options.seed}, {time.monotonic() - began:.0f} s")
    output_results(options, rows, [table(budget, rows) for budget in options.budgets])
    return 0


def describe(curves: Curves) -> str:
    """What was recorded, and how good a configuration is that is picked at random."""
    truth, spread = curves.truth, curves.scores.max(axis=2).std(axis=1, ddof=1)
    good = int((truth >= truth.max() - WITHIN - _ROUNDING).sum())
    return (
        f"{len(curves.runs)} configurations, {curves.seeds} seeds, {curves.lengths.epochs} epochs, first rung of the "
        f"pruner tolerant {curves.lengths.first_rung}: true scores {truth.min():.2%} to {truth.max():.2%}, "
        f"baseline {truth[0]:.2%}; {good} within 0.5 points of the best; mean regret of all "
        f"{100 * (truth.max() - truth.mean()):.2f} points; standard deviation of the best epoch between seeds "
        f"{100 * float(np.median(spread)):.2f} points (median)"
    )


def _simulate(plan: Plan, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of all policies."""
    parts = [
        Part(plan, pruner, range(first, min(first + PART, options.repetitions)))
        for pruner in options.pruners
        for first in range(0, options.repetitions, PART)
    ]
    with results_as_done(simulate_part, parts, options.processes) as results:
        found = dict(results)
    rows = []
    for pruner in options.pruners:
        outcomes = [found[part] for part in parts if part.pruner == pruner]  # in the same order each time
        rows += rows_of(plan, pruner, np.concatenate(outcomes, axis=1))
    return rows


def table(budget: int, rows: Sequence[dict[str, Any]]) -> Table:
    """The policies of one budget, the smallest regret first."""
    title = (
        f"Searches of {budget} full trainings, final choice included; regret and how much is claimed too much: points"
    )
    found = Table(*COLUMNS, title=title)
    for row in sorted((row for row in rows if row["budget"] == budget), key=lambda row: float(row["regret"])):
        found.add_row(*(text.format(**row) for text in COLUMNS.values()))
    return found


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandLine(
        "benchmarks.policies simulate",
        "Replays searches on recorded curves: how often they pick a configuration whose true score is within 0.5 "
        "points of the best one.",
    )
    add, at_least_1 = parser.add_argument, number(int, at_least=1)
    add("recorded", type=path, metavar="FILE", help="file that `record` wrote")
    add("--pruners", nargs="+", default=list(PRUNERS), metavar="NAME", help="as in --pruner of a search, or tolerant-T")
    add("--scores", nargs="+", default=list(SCORES), choices=SCORES, help="of a trial")
    add("--choices", nargs="+", default=list(CHOICES), metavar="NAME", help="final choices: best, top-KxN, race-KxN")
    add("--budgets", nargs="+", type=at_least_1, default=[10, 20, 40], metavar="N", help="full trainings of a search")
    add("--fresh", type=number(int, at_least=0), default=5, metavar="N", help="seeds that only final choices use")
    add("--at-once", type=at_least_1, default=2, metavar="N", help="trials that run at once")
    add("--repetitions", type=number(int, at_least=2), default=1000, metavar="N", help="of each policy")
    add("--seed", type=number(int, at_least=0), default=0, help="of all that is random")
    add("--processes", type=at_least_1, default=usable_cpus(), metavar="N", help="that simulate")
    add_output_options(parser)
    return parser.parse_args(arguments)
