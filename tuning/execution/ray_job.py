"""Ray Jobs: what a search that `ray job submit` started must not leave in Ray's temporary folder."""

from pathlib import Path

from san_core.errors import InputError

_TEMPORARY = ("runtime_resources", "working_dir_files")
"""The folders of a Ray session that hold the working directories of jobs. Ray deletes these when the job has ended."""


def check_outlives_job(run: Path) -> None:
    """Checks that a run folder is not in the working directory that Ray made for a job.

    Args:
        run: the run folder, which need not exist.

    Raises:
        InputError: if it is: the journal and the report would be deleted with it.
    """
    parts = run.absolute().resolve().parts
    if any(pair == _TEMPORARY for pair in zip(parts, parts[1:], strict=False)):
        raise InputError(
            f"run folder {run} is in the working directory of a Ray job, which Ray deletes after the job, and the "
            "search with it; accepted: --run with a path outside of it, on a disk that stays, such as --run "
            "/data/runs/NAME (--storage keeps checkpoints only)"
        )
