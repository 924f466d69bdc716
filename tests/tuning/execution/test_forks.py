"""Processes that are forked from one that has used Ray: a search in them would wait for ever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tuning.commands import PATIENCE

FORKS = """
import os, sys
import ray
from san_core.errors import InputError
from tuning.execution.forks import refuse_fork

def in_a_fork(call):
    child = os.fork()
    if not child:
        os._exit(call())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def is_refused():
    try:
        refuse_fork()
    except InputError as error:
        return 1 if "this process was forked from one that has used Ray" in str(error) else 2
    return 0

assert in_a_fork(is_refused) == 0  # Ray has not been used
ray.init("local", num_cpus=1, include_dashboard=False)  # as a program does itself
assert in_a_fork(is_refused) == 1
ray.shutdown()
assert in_a_fork(is_refused) == 1
assert is_refused() == is_refused() == 0  # this process may search
assert in_a_fork(is_refused) == 1
"""


@pytest.mark.long
def test_a_process_that_was_forked_after_the_program_used_ray_is_told_to_spawn() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, "-c", FORKS], check=True, env=environment, timeout=PATIENCE)
