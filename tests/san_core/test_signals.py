"""Signals that ask a command to end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from san_core.command_line import run_command
from san_core.signals import end_on_signals

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[list[object]]:
    """Handlers of the user's own, as a program that calls a command may have them."""
    before = [signal.signal(number, lambda *_: None) for number in SIGNALS]
    yield [signal.getsignal(number) for number in SIGNALS]
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_command_ends_in_order_and_puts_the_handlers_back(
    number: int, code: int, handlers: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned: list[str] = []

    def main() -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            cleaned.append("up")

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert ended.value.code == code
    assert cleaned == ["up"]
    assert capsys.readouterr().err == "interrupted\n"
    assert [signal.getsignal(each) for each in SIGNALS] == handlers


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As `nohup` does with SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with end_on_signals():
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGHUP)


def test_nothing_is_set_outside_the_main_thread(handlers: list[object]) -> None:
    found: list[object] = []

    def run() -> None:
        with end_on_signals():
            found.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == handlers


SLOW = """
import time
from san_core.command_line import run_command

def main():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("cleaning", flush=True)
        time.sleep(60)

run_command(main)
"""


def test_two_signals_at_once_are_one_and_a_later_one_ends_the_program_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "cleaning\n"
        process.send_signal(signal.SIGTERM)  # as `timeout` and Slurm do
        time.sleep(1.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == -signal.SIGTERM
