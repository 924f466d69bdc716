"""A further trial on a machine adds no copy of the prepared data."""

import sys
from pathlib import Path

import pytest

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.training import Training


def _mapped(file: Path) -> dict[str, int]:
    """What this process maps of a file, in KiB, by the names of Linux's smaps."""
    found: dict[str, int] = {}
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split()[0]
        if not first.endswith(":"):
            inside = line.endswith(str(file))
        elif inside and line.endswith("kB"):
            found[first[:-1]] = found.get(first[:-1], 0) + int(line.split()[1])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's account of a process's memory")
def test_training_reads_the_images_from_the_one_copy_that_all_processes_map(
    tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    data = PreparedData.open(tiny_data.folder)
    training = Training(tiny_config, data)
    training.run_epoch()
    mapped = _mapped(data.folder / "features.npy")
    assert mapped["Rss"] > 0  # it is mapped, and was read
    assert mapped["Private_Dirty"] == 0  # nothing of it was copied
    assert mapped["Anonymous"] == 0
