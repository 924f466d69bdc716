"""Gives the commands random inputs, and keeps how they ended."""

import contextlib
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.damaged_inputs.commands import fault_and_code, small_search
from benchmarks.damaged_inputs.inputs import KINDS, Inputs

DRAWN = 5
"""Of so many inputs of each kind one has the report drawn whole; the others have it without plots."""


class Outcome(NamedTuple):
    """How a command ended.

    Attributes:
        kind: kind of the input.
        code: exit code; -1 if there was none.
        fault: what is wrong, in words; empty if nothing.
        input: number and description of the input.
    """

    kind: str
    code: int
    fault: str
    input: str


def give_inputs(data: Path, numbers: Sequence[int], seed: int) -> list[Outcome]:
    """Gives the commands random inputs, the same for the same number and seed; prints each fault when it is found.

    Args:
        data: prepared data, on which a search starts at once.
        numbers: of the inputs, >= 0.
        seed: seed of the random numbers, beside the input's number.
    """
    outcomes = []
    with _folder() as folder:
        inputs = Inputs(folder, data.resolve(), small_search(data.resolve()))
        for each in numbers:
            kind = KINDS[each % len(KINDS)]
            command, arguments, description = inputs.make(kind, random.Random(f"{seed} {each}"))
            draws = each // len(KINDS) % DRAWN == 0
            fault, code = fault_and_code(command, arguments, folder, draws=draws)
            outcomes.append(Outcome(kind, code, fault, f"input {each}, {kind}, {command}: {description}"))
            if fault:
                print(f"{fault}: {outcomes[-1].input[:400]}", flush=True)
            inputs.restore()
    return outcomes


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        yield Path(name)
