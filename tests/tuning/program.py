"""A program that searches, retrains and asks: `python -m tests.tuning.program DATA`.

It prints, as JSON, what that changed of its process, what it noticed meanwhile, and how it outlived Ray's death.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import optuna
import psutil
import ray
from PIL import Image

import san_core
from benchmarks.chaos.data import prepare_squares
from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.training import train_fn
from tests.tuning.process_state import changes, state
from tuning.retrain import retrain
from tuning.search import search

OPTIONS: dict[str, Any] = {"no_dashboard": True, "confirm": 0, "set": {"hidden_size": 16, "embedding_size": 8}}


def _hear(number: int, frame: FrameType | None) -> None:
    """The program's own handler of signals."""
    del frame
    HEARD.append(number)


HEARD: list[int] = []


def _wait_for_epoch(run: str) -> None:
    journal = Path("runs") / run / "journal.log"
    while not (journal.is_file() and '"step":1' in journal.read_text()):
        time.sleep(0.1)


def _disturb(lines: list[int], over: threading.Event) -> None:
    """Prints while a search runs, and sends two signals that Ray and Tune have handlers of their own for."""
    while not over.wait(0.2):
        print(f"line {len(lines)}", file=sys.stdout)  # noqa: T201
        lines.append(len(lines))


def _send_signals() -> None:
    _wait_for_epoch("mine")
    for number in (signal.SIGTERM, signal.SIGUSR1):
        os.kill(os.getpid(), number)


def _kill_gcs() -> None:
    for process in psutil.Process().children(recursive=True):
        if process.name().startswith("gcs_server"):
            process.kill()


def _kill_gcs_of_search() -> None:
    _wait_for_epoch("dies")
    _kill_gcs()


def _kill_gcs_of_retraining() -> None:
    while not any("ray::_train" in process.name() for process in psutil.Process().children(recursive=True)):
        time.sleep(0.1)
    _kill_gcs()


def _use(data: str) -> dict[str, Any]:
    """Searches, while a thread prints and another one sends signals; then retrains, asks, prepares and trains."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _hear)
    search(run="warm", trials=1, epochs=1, data=data, **OPTIONS)  # what libraries do once in a process is theirs
    optuna.logging.set_verbosity(optuna.logging.INFO)
    over, lines = threading.Event(), list[int]()
    before = state()
    threads = [threading.Thread(target=_disturb, args=[lines, over]), threading.Thread(target=_send_signals)]
    for thread in threads:
        thread.start()
    run = search(run="mine", trials=3, epochs=2, data=data, **OPTIONS)
    over.set()
    for thread in threads:
        thread.join()
    told: dict[str, Any] = {"changed by search": changes(before, state())}
    before = state()
    retrained = retrain(run, seeds=1)
    told["changed by retrain"] = changes(before, state())
    before = state()
    reply = san_core.load(retrained.folder).ask(Image.new("RGB", (64, 64)), "is it red?")
    told["changed by ask"] = changes(before, state())
    before = state()
    squares = prepare_squares(Path())
    told["changed by prepare"] = changes(before, state())
    squares.batch(
        squares.split("train"), np.arange(1)
    )  # opens the data, which stay open as long as the object is there
    before = state()
    train_fn(TrainingConfig(epochs=1, hidden_size=16, embedding_size=8), squares)
    told["changed by train_fn"] = changes(before, state())
    states = [trial.state.name for trial in run.study().trials]
    return {**told, "answers": len(reply.answers), "lines": len(lines), "heard": sorted(set(HEARD)), "trials": states}


def _outlive_ray(data: str) -> dict[str, Any]:
    """Kills Ray under a search and under a retraining, and searches again.

    Tune asks GCS for the resources at each step, and not every 10 s, so that it waits for an answer when GCS is killed.
    """
    os.environ["TUNE_STATE_REFRESH_PERIOD"] = "0"
    ended = []
    for kill, call in (
        (_kill_gcs_of_search, lambda: search(run="dies", trials=50, epochs=1000, data=data, **OPTIONS)),
        (_kill_gcs_of_retraining, lambda: retrain("warm", seeds=300)),
    ):
        threading.Thread(target=kill, daemon=True).start()
        try:
            call()
        except InputError as error:
            ended.append(str(error))
        finally:
            ended.append("finally")
    again = search(run="again", trials=1, epochs=1, data=data, **OPTIONS)
    return {"ended": ended, "ray is left": ray.is_initialized(), "trials again": len(again.study().trials)}


def main() -> None:
    (data,) = sys.argv[1:]
    print(json.dumps(_use(data) | _outlive_ray(data)))  # noqa: T201


if __name__ == "__main__":
    main()
