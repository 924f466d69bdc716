"""The example answers of a small search's best trial, trained for real."""

import json
import shutil
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from PIL import Image

from results.run_folder import PRIOR, SEARCH, SEED, RunFolder
from results.snapshot import load_snapshot
from san_core.config import TrainingConfig
from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PreparedData
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.data.readers import easy_vqa
from san_core.training import Training
from tuning import attention_examples
from tuning.attention_examples import choose_examples, draw_heat_map, write_examples
from tuning.execution.checkpoints import Checkpoints, checkpoint_folder

FIXED = {"epochs": 1, "hidden_size": 8, "attention_size": 8, "embedding_size": 8, "batch_size": 8}


def trial(value: float | None, state: TrialState = TrialState.COMPLETE, **attributes: object) -> FrozenTrial:
    return create_trial(
        state=state,
        value=value,
        params={"dropout": 0.1},
        distributions={"dropout": FloatDistribution(0, 0.7)},
        user_attrs={SEED: 3, **attributes},
    )


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedData:
    """A few images of easy-VQA."""
    source = easy_vqa.read()
    keys = [f"train/{number}" for number in range(12)]
    questions: list[Question] = [question for question in source.train if question.image in keys]
    few = RawDataset(
        name="easy-vqa", train=questions, test=(), images={k: source.images[k] for k in keys}, image_size=64
    )
    monkeypatch.setattr(easy_vqa, "read", lambda: few)
    return prepare("easy-vqa", tmp_path / "data", Options())


@pytest.fixture
def run(tmp_path: Path, data: PreparedData) -> RunFolder:
    settings = {"data": str(data.folder), "metric": "accuracy", "fixed": FIXED, "seed": 5}
    made = RunFolder.create(tmp_path / "run", settings, {})
    study = optuna.create_study(study_name=SEARCH, storage=made.storage(), direction="maximize")
    study.add_trials([trial(0.5), trial(0.6), trial(0.9, **{PRIOR: "earlier"}), trial(None, TrialState.FAIL)])
    training = Training(TrainingConfig.from_dict({**FIXED, "dropout": 0.1, "seed": 3}), data)
    Checkpoints(checkpoint_folder(made, SEARCH)).save(1, training, [training.run_epoch()])
    return made


def test_the_gallery_shows_answers_and_where_the_network_looked(run: RunFolder, data: PreparedData) -> None:
    write_examples(load_snapshot(run), count=6)
    index = json.loads((run.attention_examples / "gallery.json").read_text())

    questions = {(question.text, question.answer) for question in data.questions_of("validation")}
    assert index["note"].startswith("Trial 1 after its last epoch")
    assert len(index["items"]) == 6
    for item in index["items"]:
        assert (item["question"], item["answer"]) in questions
        probabilities = [probability for _, probability in item["answers"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1.001
        assert item["right"] == (item["answers"][0][0] == item["answer"])
        for name in (item["picture"], *item["hops"]):
            with Image.open(run.attention_examples / name) as picture:
                assert picture.size == (192, 192)
        assert len(item["hops"]) == 2


def test_the_same_seed_chooses_the_same_questions(run: RunFolder) -> None:
    write_examples(load_snapshot(run), count=4)
    first = (run.attention_examples / "gallery.json").read_text()
    write_examples(load_snapshot(run), count=4)

    assert (run.attention_examples / "gallery.json").read_text() == first
    assert len(list(run.attention_examples.iterdir())) == 1 + 4 * 3


@pytest.mark.parametrize("region", [0, 3])
def test_the_note_says_how_much_of_the_attention_is_on_the_shape(
    run: RunFolder, data: PreparedData, monkeypatch: pytest.MonkeyPatch, region: int
) -> None:
    """Measured on all validation questions, with all attention on one of 2 x 2 regions."""
    maps = np.zeros((2, 2, 2), np.float32)
    maps[:, region // 2, region % 2] = 1
    monkeypatch.setattr(attention_examples, "QUESTIONS_PER_PASS", 7)
    real = attention_examples._attend
    monkeypatch.setattr(
        attention_examples, "_attend", lambda *of: (real(*of)[0], np.broadcast_to(maps, (len(of[2]), 2, 2, 2)))
    )
    expected = []
    for question in data.questions_of("validation"):
        with Image.open(data.image_files[question.image]) as picture:
            pixels = np.asarray(picture)
        shape = (pixels != np.median(pixels[:, [0, -1]], axis=(0, 1))).any(axis=2)  # the sides are mostly background
        quarter = shape[32 * (region // 2) :, 32 * (region % 2) :][:32, :32]
        expected.append(quarter.mean() / shape.mean())
    write_examples(load_snapshot(run), count=2)
    note = json.loads((run.attention_examples / "gallery.json").read_text())["note"]
    ratio = f"{np.mean(expected):.1f}"
    assert note.endswith(f"plain background, relative to an even spread: {ratio} in hop 1, {ratio} in hop 2.")


def test_missing_pictures_are_left_out_and_counted(run: RunFolder, data: PreparedData) -> None:
    (data.folder / "image_files.json").unlink()
    write_examples(load_snapshot(run), count=3)
    index = json.loads((run.attention_examples / "gallery.json").read_text())

    assert [item["picture"] for item in index["items"]] == [None] * 3
    assert index["note"].endswith("3 of 3 pictures are not at hand.")
    assert "even spread" not in index["note"]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("checkpoint", "trial 1, the best, has no checkpoint; --keep 1 or more keeps it"),
        ("data", "is not a prepared data set"),
        ("damage", "the checkpoint of trial 1 is damaged or of another version"),
    ],
)
def test_what_is_missing_is_said_and_fails_nothing(
    run: RunFolder, data: PreparedData, capsys: pytest.CaptureFixture[str], broken: str, why: str
) -> None:
    checkpoint = run.checkpoints / SEARCH / "trial-0001.pt"
    if broken == "checkpoint":
        checkpoint.unlink()
    elif broken == "data":
        shutil.rmtree(data.folder)
    else:
        checkpoint.write_bytes(b"damaged")

    write_examples(load_snapshot(run))

    said = capsys.readouterr().err
    assert said.startswith("There is no gallery: ")
    assert why in said
    assert len(said.splitlines()) == 1
    assert json.loads((run.attention_examples / "gallery.json").read_text()) == {"note": said.rstrip("\n"), "items": []}


@pytest.mark.parametrize(("good", "count", "right"), [(10, 6, 3), (1, 6, 1), (19, 6, 5), (20, 6, 6), (0, 6, 0)])
def test_half_of_the_questions_are_wrong_ones_if_there_are_enough(good: int, count: int, right: int) -> None:
    answered = np.array([True] * good + [False] * (20 - good))

    rows = choose_examples(answered, count, seed=1)

    assert len(set(rows)) == count
    assert [bool(answered[row]) for row in rows] == [True] * right + [False] * (count - right)


def test_a_heat_map_is_brightest_where_the_network_looked() -> None:
    shares = np.zeros((4, 4), np.float32)
    shares[0, 3] = 1

    grey = np.asarray(draw_heat_map(None, shares).convert("L"))

    assert np.unravel_index(grey.argmax(), grey.shape)[0] < 48
    assert np.unravel_index(grey.argmax(), grey.shape)[1] >= 144
    assert draw_heat_map(Image.new("RGB", (30, 20)), shares).size == (30, 20)
