import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("psutil")

import psutil

from benchmarks import memory
from benchmarks.memory import MIB, MemoryUse, memory_of, rows_of
from san_core.data.prepared import PreparedData


def test_a_further_trial_adds_what_it_has_more_than_those_before() -> None:
    found = {1: MemoryUse(400 * MIB, 90 * MIB), 2: MemoryUse(700 * MIB, 95 * MIB), 4: MemoryUse(1500 * MIB, 96 * MIB)}
    rows = rows_of(found, file=100 * MIB)
    assert [row["a further trial adds MiB"] for row in rows] == [400, 300, 400]
    assert [row["features MiB"] for row in rows] == [90, 95, 96]
    assert {row["features file MiB"] for row in rows} == {100}


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's account of a process's memory")
def test_share_of_a_mapped_file_is_that_of_the_pages_read(tmp_path: Path) -> None:
    file = tmp_path / "features.npy"
    np.save(file, np.ones(2 * MIB, np.uint8))
    mapped = np.load(file, mmap_mode="r")
    assert mapped.sum() == 2 * MIB
    found = memory_of(psutil.Process(), str(file))
    assert found.features == pytest.approx(2 * MIB, rel=0.01)
    assert found.private > 10 * MIB
    assert memory_of(psutil.Process(), str(tmp_path / "other")).features == 0


@pytest.mark.long
@pytest.mark.rare
def test_trials_at_once_hold_memory(tiny_data: PreparedData) -> None:
    found = memory.measured(tiny_data.folder, trials=1, epochs=60)
    assert 50 * MIB < found.private < 2000 * MIB
