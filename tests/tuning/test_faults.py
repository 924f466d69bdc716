"""Nothing is lost: real searches, real processes, real kills."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from benchmarks.chaos.checks import differences
from benchmarks.chaos.disturbed import Disturbance
from benchmarks.chaos.sandbox import Sandbox, trials_of, undisturbed
from results.run_folder import REASON, REPEATS, RunFolder
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from tests.tuning.commands import PATIENCE
from tuning.search import search

pytestmark = pytest.mark.long

TRIALS = 6


@pytest.fixture(scope="module")
def place(tiny_data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    folder, home = tmp_path_factory.mktemp("faults"), tmp_path_factory.mktemp("home")
    sizes = ("hidden_size=256", "attention_size=128", "batch_size=16", "epochs=6")
    fixed = tuple(part for size in sizes for part in ("--set", size))
    search = ("--data", str(tiny_data.folder), "--trials", str(TRIALS), "--confirm", "0", "--concurrent", "1", *fixed)
    return Sandbox(folder, home, search, longest=6.0)


@pytest.fixture(scope="module")
def expected(place: Sandbox) -> list[FrozenTrial]:
    """The trials of a search that was left alone."""
    return undisturbed(place)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    seed = int(os.environ.get("SAN_KILL_SEED", time.time_ns() % 10**6))
    print(f"SAN_KILL_SEED={seed} repeats the kills of {request.node.name}")  # noqa: T201 - shown if the test fails
    return random.Random(seed)


def finish(process: subprocess.Popen[bytes]) -> int:
    return process.wait(timeout=PATIENCE)


def output(place: Sandbox) -> str:
    return (place.folder / "output.log").read_text(errors="replace")


def wait_for(place: Sandbox, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < deadline, output(place)
        time.sleep(0.05)


def wait_for_trials(place: Sandbox, name: str, count: int, state: TrialState | None = None) -> None:
    """Until so many trials of a run have ended, in a state if one is given."""
    run = RunFolder(place.folder / "runs" / name)

    def ended() -> bool:
        with contextlib.suppress(Exception):  # it may not be there yet
            states = [trial.state for trial in run.study().trials]
            return sum(found == state if state else found.is_finished() for found in states) >= count
        return False

    wait_for(place, ended)


def test_a_search_that_is_killed_and_resumed_ends_as_one_that_was_left_alone(
    place: Sandbox, expected: list[FrozenTrial], rng: random.Random
) -> None:
    kinds = ["kill-worker", *rng.sample(["kill-raylet", "kill-search"], 2)]
    outcome = Disturbance(place, "killed", kinds, rng).carry_out()
    assert not outcome.has_faults(), outcome
    assert differences(expected, trials_of(place, "killed")) == []
    # A worker's trial goes on from its checkpoint by itself: the search does not end with it. Nor does it if a node is
    # killed while it ends anyway.
    assert outcome.count("kill-worker") == 1
    assert 1 < outcome.starts <= 1 + outcome.count("kill-raylet", "kill-search")
    assert len(expected) == TRIALS


@dataclass
class Wounded:
    """A search that lost a worker and a checkpoint.

    Attributes:
        trials: of the search.
        trials_setting: how many it was to run, after another search was started in its folder.
        refusal: of the other search.
        damaged: number of the trial whose checkpoint was damaged.
        stopped: exit code of its first part, which was asked to end.
        had_report: whether there was a report then.
    """

    trials: list[FrozenTrial]
    trials_setting: int
    refusal: str
    damaged: int
    stopped: int
    had_report: bool


@pytest.fixture(scope="module")
def wounded(place: Sandbox) -> Wounded:
    run = RunFolder(place.folder / "runs" / "wounded")
    first = place.start("--run", "wounded", *place.arguments, "--max-failures", "0", "--concurrent", "2")
    wait_for_trials(place, "wounded", 1)
    with pytest.raises(InputError) as refused:
        search(resume=f"{run.path}/", trials="+5")
    trials_setting = run.setting("trials")
    victim: list[int | None] = []
    wait_for(place, lambda: victim.append(place.process("ray::SANWorker")) or victim[-1] is not None)
    os.kill(victim[-1] or 0, signal.SIGKILL)
    wait_for_trials(place, "wounded", 1, TrialState.FAIL)
    first.send_signal(signal.SIGTERM)
    stopped = finish(first)
    had_report = run.report_page.is_file()
    # Else it would put a whole checkpoint in place of the damaged one.
    wait_for(place, lambda: not place.process("ray::SANWorker"))
    damaged = max(trial.number for trial in trials_of(place, "wounded") if trial.state == TrialState.RUNNING)
    checkpoints = run.checkpoints / "search"
    checkpoints.mkdir(parents=True, exist_ok=True)
    (checkpoints / f"trial-{damaged:04d}.pt").write_bytes(b"torn")
    assert finish(place.start("--resume", "wounded", "--concurrent", "1")) == 0, output(place)
    return Wounded(trials_of(place, "wounded"), trials_setting, str(refused.value), damaged, stopped, had_report)


def test_a_search_that_is_asked_to_end_says_how_to_go_on(place: Sandbox, wounded: Wounded) -> None:
    """As Docker, Slurm, Kubernetes and systemd ask, with SIGTERM."""
    assert wounded.stopped == 128 + signal.SIGTERM
    assert wounded.had_report
    assert "-m tuning.search --resume runs/wounded\n" in output(place)


def test_a_worker_that_dies_too_often_fails_its_trial_and_resuming_runs_it_again(wounded: Wounded) -> None:
    (failed,) = (trial for trial in wounded.trials if trial.state == TrialState.FAIL)
    assert failed.user_attrs[REASON] == "the worker process died"
    (again,) = (trial for trial in wounded.trials if trial.user_attrs.get(REPEATS) == failed.number)
    assert again.params == failed.params
    assert again.intermediate_values
    assert len(wounded.trials) == TRIALS + 1
    assert all(trial.state.is_finished() for trial in wounded.trials)


def test_a_second_search_in_the_same_folder_is_refused(wounded: Wounded) -> None:
    assert re.fullmatch("another search is running in .*/runs/wounded; wait for it to end", wounded.refusal)
    assert wounded.trials_setting == TRIALS


def test_a_trial_with_a_damaged_checkpoint_starts_anew(place: Sandbox, wounded: Wounded) -> None:
    assert wounded.trials[wounded.damaged].state != TrialState.FAIL
    assert f"trial {wounded.damaged} starts anew, since its checkpoint is damaged (" in output(place)


def test_data_that_are_gone_stop_the_search_in_one_line_and_lose_nothing(
    place: Sandbox, expected: list[FrozenTrial], tiny_data: PreparedData
) -> None:
    process = place.start("--run", "gone", *place.arguments)
    wait_for_trials(place, "gone", 1)
    elsewhere = tiny_data.folder.rename(tiny_data.folder.with_name("unmounted"))
    try:
        os.kill(place.process("ray::SANWorker") or 0, signal.SIGKILL)  # the next one has to open the data
        assert finish(process) == 2, output(place)
    finally:
        elsewhere.rename(tiny_data.folder)
    assert f"error: the data can no longer be read: {tiny_data.folder} is not a prepared data set" in output(place)
    assert "run again with --resume runs/gone to go on" in output(place)
    assert finish(place.start("--resume", "gone")) == 0, output(place)
    assert differences(expected, trials_of(place, "gone")) == []


def test_a_finished_search_is_extended_from_a_torn_journal_and_keeps_the_best_checkpoints(
    place: Sandbox, expected: list[FrozenTrial]
) -> None:
    runs = place.folder / "runs"
    shutil.copytree(runs / "undisturbed", runs / "extended")
    run = RunFolder(runs / "extended")
    with run.journal.open("ab") as journal:
        journal.write(b'{"op_code":5,"worker_id":"half a li')
    assert finish(place.start("--resume", "extended", "--trials", "+2", "--keep", "2")) == 0, output(place)
    trials = trials_of(place, "extended")
    assert differences(expected, trials[:TRIALS]) == []
    assert len(trials) == TRIALS + 2
    assert all(trial.state.is_finished() for trial in trials)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = sorted(complete, key=lambda trial: (-(trial.value or 0), trial.number))[:2]
    kept = {path.name for path in (run.checkpoints / "search").iterdir()}
    assert kept == {f"trial-{trial.number:04d}.pt" for trial in best}


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system that holds a few checkpoints, outside of pytest's folders, which are deleted later."""
    with tempfile.TemporaryDirectory() as disk:
        mount = ["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", disk]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("a file system of its own cannot be mounted here")
        yield Path(disk)
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_stops_the_search_and_loses_nothing(
    place: Sandbox, expected: list[FrozenTrial], small_disk: Path
) -> None:
    run = small_disk / "run"
    process = place.start("--run", str(run), *place.arguments)
    wait_for_trials(place, str(run), 2)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    assert finish(process) == 2
    assert f"error: {run} cannot be written: No space left on device; what had finished is safe" in output(place)
    ballast.unlink()
    assert finish(place.start("--resume", str(run))) == 0, output(place)
    assert differences(expected, trials_of(place, str(run))) == []
