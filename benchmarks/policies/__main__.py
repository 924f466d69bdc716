"""`python -m benchmarks.policies`: records learning curves, and simulates searches on them."""

import sys
from collections.abc import Callable, Sequence

from benchmarks.policies import record, simulate
from san_core.command_line import CommandLine, run_command

STEPS: dict[str, Callable[[Sequence[str]], int]] = {"record": record.main, "simulate": simulate.main}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the step that the first argument names."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = CommandLine("benchmarks.policies", "Records learning curves, and simulates searches on them.")
    parser.add_argument("step", choices=STEPS, help="what to do; STEP --help lists its options")
    return STEPS[parser.parse_args(given[:1]).step](given[1:])


if __name__ == "__main__":
    run_command(main)
