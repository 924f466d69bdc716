"""Hosts that share nothing, for tests: see `benchmarks.chaos.hosts`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chaos import hosts
from benchmarks.chaos.hosts import PYTHON, ROOT, Host, Network, missing_for_hosts

__all__ = ["PYTHON", "ROOT", "Host", "Network", "network"]


@contextlib.contextmanager
def network(*hidden: Path) -> Iterator[Network]:
    """A network whose hosts do not see the project, /tmp, and what else is hidden; skips where none can be made."""
    if reason := missing_for_hosts():
        pytest.skip(reason)
    with hosts.network(*hidden) as found:
        yield found
