"""A data set small enough to prepare and train on in a second, coloured squares; and a browser."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

# As many tests as there are cores run at a time, and so do the processes they start: a thread each.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
import torch
from PIL import Image

from san_core.checkpoint import save_model
from san_core.command_line import run_command
from san_core.config import TrainingConfig
from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PreparedData
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.data.readers import READERS
from san_core.models.san import SAN
from san_core.training import train_fn
from tests.browser import Service, webdriver

torch.set_num_threads(1)

# Where a script starts the tests in the background, they are to ignore Ctrl-C, and so would be the commands they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --enable-unsafe-swiftshader"
)

LONG = ("browser", "live_search", "pages_run", "retrained")
"""Fixtures whose tests are left to `make test-long`."""


FIRST = {
    *("test_search", "test_retrain", "test_placing", "test_results_command", "test_trackers"),
    *("test_commands", "test_faults", "test_cluster", "test_early_end"),
}
"""Modules that take longest. They begin first, so that all workers end at about the same time."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by the fixtures they use, and puts the longest modules first."""
    for item in items:
        if set(LONG).intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.long)
    items.sort(key=lambda item: item.path.stem not in FIRST)


@pytest.fixture(scope="session", autouse=True)
def _home_and_ray_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Workers that run tests side by side share neither a home folder nor Ray's folder of sessions."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as ray:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_TMPDIR", ray)  # outside of pytest's, since names of sockets must be short
        patch.setenv("RAY_enable_worker_prestart", "0")  # each start of Ray would start workers that nothing needs
        patch.setenv("RAY_prestart_worker_first_driver", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else a loaded machine would let trials wait
        yield


@pytest.fixture
def run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., "CompletedProcess[str]"]:
    """run_here(main, *arguments): a command in this process, since to start one takes seconds."""

    def run(main: Callable[[], int | None], *arguments: object) -> "CompletedProcess[str]":
        command = ["command", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_command(main)
        code = ended.value.code
        assert isinstance(code, int)
        return CompletedProcess(command, code, *capsys.readouterr())

    return run


SIZE = 64  # EfficientNet-Lite sees 2 x 2 regions
COLOURS = {"red": (220, 30, 30), "green": (20, 180, 40), "blue": (40, 60, 230), "yellow": (240, 220, 20)}
NEVER_TRAINED = ("white", (250, 250, 250))  # only the test split has it


def _draw(path: Path, colour: tuple[int, int, int], rng: np.random.Generator) -> None:
    pixels = np.full((SIZE, SIZE, 3), 110, dtype=np.uint8)
    edge = int(rng.integers(24, 40))
    top, left = rng.integers(0, SIZE - edge, size=2)
    pixels[top : top + edge, left : left + edge] = colour
    Image.fromarray(pixels).save(path)


def _ask(key: str, colour: str) -> list[Question]:
    return [
        Question("What colour is it?", colour, key),
        Question("is it red?", "yes" if colour == "red" else "no", key),
        Question("Is it a square?", "yes", key),
        Question("which colour does the square have", colour, key),
    ]


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> RawDataset:
    """40 images to learn from and 10 to test with, 4 questions each, plus 2 test images with an unheard-of answer."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(7)
    images: dict[str, Path] = {}
    splits: dict[str, list[Question]] = {"train": [], "test": []}
    shades = list(COLOURS.items())
    plan = [("train", *shades[i % 4]) for i in range(40)] + [("test", *shades[i % 4]) for i in range(10)]
    plan += [("test", *NEVER_TRAINED)] * 2
    for i, (split, colour, rgb) in enumerate(plan):
        key = f"{split}/{i}"
        images[key] = folder / f"{i}.png"
        _draw(images[key], rgb, rng)
        splits[split] += _ask(key, colour)
    return RawDataset(
        "tiny", splits["train"], splits["test"], images, image_size=SIZE, training_defaults={"hidden_size": 32}
    )


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[RawDataset], None]:
    """Makes a source a data set that `prepare` knows by name, for one test."""
    return lambda source: monkeypatch.setitem(READERS, source.name, lambda *_: source)


@pytest.fixture(scope="session")
def prepared_tiny(
    tiny_dataset: RawDataset, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Options], PreparedData]:
    def prepare_tiny(options: Options) -> PreparedData:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(READERS, "tiny", lambda *_: tiny_dataset)
            return prepare("tiny", tmp_path_factory.mktemp("prepared") / "tiny", options)

    return prepare_tiny


@pytest.fixture(scope="session")
def tiny_data(prepared_tiny: Callable[[Options], PreparedData]) -> PreparedData:
    """The squares as 2 x 2 EfficientNet-Lite regions."""
    return prepared_tiny(Options(encoder="efficientnet-lite0", image_size=SIZE))


@pytest.fixture(scope="session")
def tiny_whole(prepared_tiny: Callable[[Options], PreparedData]) -> PreparedData:
    """The squares as one EfficientNet-Lite region each."""
    return prepared_tiny(Options(encoder="efficientnet-lite0", image_size=SIZE, grid=1))


@pytest.fixture(scope="session")
def tiny_pixels(prepared_tiny: Callable[[Options], PreparedData]) -> PreparedData:
    """The squares as pixels, for fine-tuning."""
    return prepared_tiny(Options(encoder="efficientnet-lite0", image_size=SIZE, fine_tune=True))


@pytest.fixture(scope="session")
def tiny_config() -> TrainingConfig:
    """Sizes with which an epoch of the squares takes milliseconds."""
    return TrainingConfig(
        learning_rate=1e-3,
        dropout=0.25,
        embedding_size=16,
        hidden_size=32,
        attention_size=16,
        batch_size=32,
        epochs=3,
        precision="float32",
    )


@pytest.fixture(scope="session")
def tiny_network(tiny_data: PreparedData, tiny_config: TrainingConfig) -> SAN:
    """A network trained on the squares."""
    return train_fn(tiny_config, tiny_data)


@pytest.fixture(scope="session")
def tiny_model(
    tiny_network: SAN, tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The model folder of `tiny_network`. Copy it before you change it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder, tiny_network, tiny_config, tiny_data, {"test_accuracy": 0.5})
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Debian's chromium, which notes what pages log and what they ask the network for."""
    pytest.importorskip("selenium")
    if not CHROMIUM or not DRIVER:
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ARGUMENTS.split():
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()
