"""A trained model in three lines of Python."""

import io
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import san_core
from san_core.data.images.reading import load_pixels
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError
from tests.conftest import COLOURS


@pytest.fixture
def picture(tiny_dataset: RawDataset) -> Path:
    return tiny_dataset.images["test/40"]


def test_a_loaded_model_answers_as_its_network_does(tiny_model: Path, picture: Path) -> None:
    model = san_core.load(str(tiny_model))
    reply = model.ask(str(picture), "is it red?", top=3)
    expected = model.reply(load_pixels(picture, 64), "is it red?", top=3)
    assert reply.answers == expected.answers
    np.testing.assert_array_equal(reply.attention, expected.attention)


def test_a_printed_reply_is_a_line_for_each_answer(tiny_model: Path, picture: Path) -> None:
    reply = san_core.load(tiny_model).ask(picture, "is it red?", top=2)
    first, second = reply.answers
    assert (
        str(reply) == f"{100 * first.probability:5.1f}%  {first.text}\n{100 * second.probability:5.1f}%  {second.text}"
    )


def test_a_picture_in_memory_is_as_good_as_its_file(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    model = san_core.load(tiny_model)
    with Image.open(picture) as image:
        see_through = image.convert("RGBA")
    see_through.putalpha(120)
    see_through.save(tmp_path / "see-through.png")
    in_memory, in_a_file = (model.ask(source, "is it red?") for source in (see_through, tmp_path / "see-through.png"))
    assert in_memory.answers == in_a_file.answers


def test_a_picture_is_taken_as_bytes_file_object_or_pixels(tiny_model: Path, picture: Path) -> None:
    model = san_core.load(tiny_model)
    expected = model.ask(picture, "is it red?").answers
    content = picture.read_bytes()
    half_read = io.BytesIO(content)
    half_read.read(100)
    with Image.open(picture) as image:
        pixels = np.asarray(image)
    with picture.open("rb") as file:
        for given in (
            content,
            bytearray(content),
            memoryview(content),
            half_read,
            file,
            pixels,
            pixels[:, ::-1][:, ::-1],
        ):
            assert model.ask(given, "is it red?").answers == expected


ACCEPTED = "; accepted: the path, the bytes or a binary file object of an image file, "


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (None, f"image is NoneType{ACCEPTED}"),
        (7, f"image is int{ACCEPTED}"),
        (torch.zeros(3, 64, 64), f"image is Tensor of shape [3, 64, 64]{ACCEPTED}"),
        (np.zeros((64, 64, 3)), f"image is an array of float64 of shape [64, 64, 3]{ACCEPTED}"),
        (np.zeros((3, 64, 64), dtype=np.uint8), f"image is an array of uint8 of shape [3, 64, 64]{ACCEPTED}"),
        (np.zeros((0, 64, 3), dtype=np.uint8), f"image is an array of uint8 of shape [0, 64, 3]{ACCEPTED}"),
        (io.StringIO("text"), f"image is a file object of text{ACCEPTED}"),
        (b"", "image given cannot be read: it is empty"),
        (b"no picture", "image given cannot be read: it is in no format known here"),
        (b"%PDF-1.7 and so on", "image given cannot be read: it is a PDF"),
        ("https://there.org/a.png", "image https:/there.org/a.png is an address, and nothing is downloaded here; "),
        ("-", "image - is no file: standard input is not read; "),
    ],
)
def test_what_is_no_picture_is_named_in_one_line(image: Any, problem: str, tiny_model: Path) -> None:  # noqa: ANN401
    with pytest.raises(InputError) as raised:
        san_core.load(tiny_model).ask(image, "is it red?")
    assert str(raised.value).startswith(problem)
    assert "\n" not in str(raised.value)


def test_a_closed_file_and_a_pointer_of_git_lfs_are_named(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    model = san_core.load(tiny_model)
    with picture.open("rb") as file:
        pass
    with pytest.raises(InputError, match=r"^image given cannot be read: .*closed file"):
        model.ask(file, "is it red?")
    pointer = tmp_path / "a.png"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    for given in (pointer, pointer.read_bytes()):
        with pytest.raises(InputError, match="is a Git LFS pointer, not the file itself; git lfs pull fetches that$"):
            model.ask(given, "is it red?")


@pytest.mark.parametrize("question", [None, 7, b"is it red?", ["is it red?"]])
def test_a_question_is_a_text(question: Any, tiny_model: Path, picture: Path) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match="^the question is .+; accepted: a text$"):
        san_core.load(tiny_model).ask(picture, question)


def test_a_question_has_words_and_a_list_has_pairs(tiny_model: Path, picture: Path) -> None:
    model = san_core.load(tiny_model)
    with pytest.raises(InputError, match=r"^the question '\?!' has no words; accepted: any words$"):
        model.ask(picture, "?!")
    with pytest.raises(InputError, match="^question 2: it is 'b.png'; accepted: a pair of an image and a text$"):
        model.ask_all([[picture, "is it red?"], "b.png"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="^the questions are None; accepted: pairs of an image and a text$"):
        model.ask_all(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("top", [0, -1, 2.5, None, True, "3"])
def test_at_least_one_answer_is_asked_for(top: Any, tiny_model: Path, picture: Path) -> None:  # noqa: ANN401
    model = san_core.load(tiny_model)
    for ask in (lambda: model.ask(picture, "is it red?", top=top), lambda: model.ask_all([], top=top)):
        with pytest.raises(InputError, match=r"^top is .+; accepted: a whole number >= 1$"):
            ask()


def test_words_that_the_model_does_not_know_are_told(tiny_model: Path, picture: Path) -> None:
    model = san_core.load(tiny_model)
    reply = model.ask(picture, "Is the zebra red, Zebra or mauve?", top=1)
    known = set(model.words.words)
    assert {"is", "red"} <= known
    assert reply.unknown_words == tuple(word for word in ("the", "zebra", "or", "mauve") if word not in known)
    assert str(reply).splitlines()[1:] == [f"note: {reply.note}"]
    assert reply.note == f"the model does not know these words: {', '.join(reply.unknown_words)}"
    assert model.ask(picture, "is it red?").unknown_words == ()
    assert model.ask(picture, "rot?").note == "the model does not know this word: rot"


def test_a_list_from_python_is_answered_as_its_questions_are_one_by_one(
    tiny_model: Path, tiny_dataset: RawDataset
) -> None:
    model = san_core.load(tiny_model)
    pairs = [(tiny_dataset.images[question.image], question.text) for question in tiny_dataset.test * 4]
    found = model.ask_all(iter(pairs), top=2)
    assert len(found) == len(pairs) > 128
    for (image, question), reply in zip(pairs[:48:5], found[:48:5], strict=True):
        expected = model.ask(image, question, top=2)
        assert [answer.text for answer in reply.answers] == [answer.text for answer in expected.answers]
        np.testing.assert_allclose(reply.attention, expected.attention, atol=1e-3)
    assert model.ask_all([]) == []
    with pytest.raises(InputError, match="^question 2: the question is empty; accepted: any words$"):
        model.ask_all([pairs[0], (pairs[0][0], " ")])


def test_a_buffer_that_is_filled_anew_for_each_question_is_read_in_time(tiny_model: Path) -> None:
    def frames() -> Iterator[tuple[NDArray[np.uint8], str]]:
        buffer = np.empty((64, 64, 3), dtype=np.uint8)
        for colour in COLOURS.values():
            buffer[:] = colour
            yield buffer, "what colour is it?"

    model = san_core.load(tiny_model)
    expected = [model.ask(np.full((64, 64, 3), rgb, dtype=np.uint8), "what colour is it?") for rgb in COLOURS.values()]
    found = model.ask_all(frames())
    for one, other in zip(found, expected, strict=True):
        assert [a.probability for a in one.answers] == pytest.approx([a.probability for a in other.answers], abs=1e-3)


def test_few_questions_are_answered_on_one_thread_which_is_set_back(
    tiny_model: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available():
        pytest.skip("about CPUs")
    model = san_core.load(tiny_model)
    pixels = [np.full((64, 64, 3), shade, dtype=np.uint8) for shade in range(200)]
    used: list[int] = []
    real = model.network.attend
    monkeypatch.setattr(model.network, "attend", lambda *given: used.append(torch.get_num_threads()) or real(*given))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        model.ask(picture, "is it red?")
        assert (used, torch.get_num_threads()) == ([1], 3)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: model.ask(picture, "is it red?"), range(20)))
            assert set(pool.map(lambda _: torch.get_num_threads(), range(20))) == {3}
        assert (set(used), torch.get_num_threads()) == ({1}, 3)
        used.clear()
        model.ask_all([(array, "is it red?") for array in pixels])
        assert (set(used), torch.get_num_threads()) == ({3}, 3)
    finally:
        torch.set_num_threads(before)


FORKED = """
import os, signal, sys
import torch
import san_core

torch.set_num_threads(4)
model = san_core.load(sys.argv[1])
(torch.ones(2000, 500) @ torch.ones(500, 500)).tanh()  # starts the threads that a forked process does not have
questions = [(sys.argv[2], "is it red?")] * 3 + [(sys.argv[i], "is it red?") for i in range(2, len(sys.argv))]
expected = [reply.answers[0].text for reply in model.ask_all(questions)]
child = os.fork()
if not child:
    signal.alarm(280)  # which ends it if it hangs
    again = san_core.load(sys.argv[1])
    for loaded in (model, again):
        assert [reply.answers[0].text for reply in loaded.ask_all(questions)] == expected
        assert loaded.ask(*questions[0]).answers[0].text == expected[0]
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_forked_after_the_model_was_loaded_answers(tiny_model: Path, tiny_dataset: RawDataset) -> None:
    pictures = [str(path) for path in tiny_dataset.images.values()]
    environment = {**os.environ, "OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", FORKED, str(tiny_model), *pictures]
    subprocess.run(command, check=True, cwd=Path(san_core.__file__).parents[1], env=environment, timeout=300)


def test_what_cannot_be_answered_is_said_in_one_line(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    model = san_core.load(tiny_model)
    with pytest.raises(InputError, match="^the question is empty; accepted: any words$"):
        model.ask(picture, " ")
    with pytest.raises(InputError, match=f"^image {re.escape(str(tmp_path))}/none.png does not exist$"):
        model.ask(tmp_path / "none.png", "is it red?")


def test_a_wrong_folder_is_said_in_one_line(tmp_path: Path) -> None:
    wrong = (
        f"{tmp_path} is not a model folder: it has no model.json; accepted: a folder that tuning.retrain wrote, such as"
    )
    with pytest.raises(InputError, match=f"^{re.escape(wrong)} runs/NAME/retrained/best$"):
        san_core.load(tmp_path)


def test_importing_the_package_loads_no_torch() -> None:
    loaded = "import sys, san_core; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", loaded], check=True, cwd=Path(san_core.__file__).parents[1])


def test_loading_and_asking_leave_the_random_numbers_as_they_were(tiny_model: Path, picture: Path) -> None:
    def draw() -> tuple[object, ...]:
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()  # noqa: NPY002 - the user's

    def seed() -> None:
        torch.manual_seed(7)
        np.random.seed(7)  # noqa: NPY002
        random.seed(7)

    seed()
    expected = draw()
    seed()
    san_core.load(tiny_model).ask(picture, "is it red?")
    assert draw() == expected


UNTOUCHED = """
import logging, os, random, signal, sys, threading, warnings
import numpy as np
import PIL.Image, PIL.ImageFile
import torch
import san_core, san_core.checkpoint

def state():
    open_files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "handlers of signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "filters of warnings": list(warnings.filters),
        "handlers of logs": list(logging.root.handlers),
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook),
        "random": random.getstate(),
        "numpy": repr(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
        "threads of torch": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "threads": [thread.name for thread in threading.enumerate()],
        "files": sorted(os.readlink(path) for path in open_files if os.path.exists(path)),
        "umask": os.umask(0o022),
        "pillow": (PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES),
    }

state()
before = state()
model = san_core.load(sys.argv[1])
model.ask(sys.argv[2], "is it red?")
model.ask_all([(path, "is it red?") for path in sys.argv[2:]])
after = state()
for name in before:
    assert before[name] == after[name], name
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_loading_and_asking_leave_the_program_as_it_was(tiny_model: Path, tiny_dataset: RawDataset) -> None:
    pictures = [str(path) for path in tiny_dataset.images.values()]
    command = [sys.executable, "-c", UNTOUCHED, str(tiny_model), *pictures]
    done = subprocess.run(
        command, cwd=Path(san_core.__file__).parents[1], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
