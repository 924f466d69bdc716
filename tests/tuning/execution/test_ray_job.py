from pathlib import Path

import pytest

from san_core.errors import InputError
from tuning.execution.ray_job import check_outlives_job

JOB = "ray/session_2026-01-01_00-00-00_000000_1/runtime_resources/working_dir_files/_ray_pkg_0123456789abcdef"


@pytest.mark.parametrize("run", ["runs/mine", "mine", "../_ray_pkg_fedcba9876543210/mine"])
def test_a_run_folder_that_ray_deletes_with_the_job_is_refused(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / JOB).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / JOB)
    with pytest.raises(InputError, match=r"which Ray deletes after the job, .*; accepted: --run with a path outside"):
        check_outlives_job(Path(run))


def test_a_run_folder_elsewhere_outlives_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / JOB).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / JOB)
    check_outlives_job(tmp_path / "runs" / "mine")
    check_outlives_job(Path("/runtime_resources/mine"))
