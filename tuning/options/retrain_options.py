"""The options of `python -m tuning.retrain`."""

import argparse

from san_core.command_line import CommandLine, number, path, path_text
from tuning.options.search_options import MOST_SEEDS


def parse_retrain_options() -> argparse.Namespace:
    """Reads the command line; ends with exit code 2 and one line if options contradict each other."""
    parser = CommandLine(
        "tuning.retrain",
        "Trains a configuration on train plus validation under several seeds, evaluates the test split once per "
        "seed, does the same for the baseline, and saves a model folder.",
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="name of a run under runs/, or a path with a slash")
    add("--trial", type=number(int, at_least=0), help="trial to retrain (default: the best)")
    add("--seeds", type=number(int, at_least=1, below=MOST_SEEDS), default=3, help="trainings of each configuration")
    add(
        "--out", type=path, help="model folder to write (default: RUN/retrained/best, .../trial-N or .../best-ensemble)"
    )
    add(
        "--ensemble",
        action="store_true",
        help="test the networks of each configuration together, too: the mean of their probabilities; the model folder "
        "answers with the ensemble",
    )
    add(
        "--on",
        choices=["test", "validation"],
        default="test",
        help="validation: run trials again as in the search, under fresh seeds; with --ensemble: train on train alone, "
        "and score the validation questions",
    )
    add(
        "--top",
        type=number(int, at_least=1),
        default=1,
        help="with --on validation: how many of the best trials to run",
    )
    add(
        "--data",
        type=path_text,
        metavar="DATA",
        action="append",
        default=[],
        help="prepared data of the search, if they were moved: a folder, a URI, or a name under data/; may be repeated",
    )
    add(
        "--so-far",
        action="store_true",
        help="retrain what is best so far although the search is still running; the test split is for one model only",
    )
    add("--again", action="store_true", help="use the test split although it was used for this search before")
    add(
        "--check",
        action="store_true",
        help="run the trial again under its own seed, and compare with its recorded score",
    )
    add("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()
    if problem := _find_contradiction(options):
        parser.error(problem)
    return options


def _find_contradiction(options: argparse.Namespace) -> str | None:
    if options.ensemble and options.check:
        return "--ensemble does not go with --check, which trains one network"
    if options.ensemble and options.seeds < 2:
        return f"--ensemble needs the networks of two seeds or more, but got --seeds {options.seeds}"
    if options.top > 1 and options.ensemble:
        return f"--top {options.top} does not go with --ensemble: it is for one configuration and the baseline"
    if options.top > 1 and options.on == "test" and not options.check:
        return f"--top {options.top} goes with --on validation: the test split is for one configuration"
    return None
