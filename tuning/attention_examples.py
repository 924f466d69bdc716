"""Writes a run's attention examples: validation questions, the best trial's answers, and where its network looks."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.trial import FrozenTrial
from PIL import Image

from results.preparations import folder_of_data
from results.run_folder import ATTENTION_EXAMPLES_FILE, SEARCH
from results.snapshot import RunSnapshot
from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.data.images.reading import open_picture
from san_core.data.prepared import PreparedData
from san_core.data.questions import Question
from san_core.errors import InputError
from san_core.evaluation import predict_split
from san_core.files import name_folder, shown, write_json
from san_core.folds import FoldedTraining, new_training
from san_core.hardware import autocast
from san_core.models.san import most_probable
from san_core.prediction.attention_focus import Focus, Shown, find_shown
from san_core.prediction.attention_map import heat_layer
from san_core.training import Training
from tuning.execution.checkpoints import Checkpoints, DamagedCheckpointError, checkpoint_folder
from tuning.training_settings import training_settings

EDGE = 192
"""Longest edge of a picture, in pixels."""

CANDIDATES = 1000
"""Validation questions, drawn at random, that the examples are chosen from."""

QUESTIONS_PER_PASS = 250

ANSWERS = 3
"""Most probable answers that are shown."""

_OPACITY = 0.6


@dataclass(frozen=True, eq=False)
class Example:
    """A question, and a network's answer to it.

    Attributes:
        question: the question and its right answer.
        answers: the most probable answers and their probabilities, best first.
        attention: [hops, rows, columns], each hop's attention over the regions of the image; a hop adds up to 1.
        picture: the image; None if its file is missing.
    """

    question: Question
    answers: Sequence[tuple[str, float]]
    attention: NDArray[np.float32]
    picture: Image.Image | None

    @property
    def is_right(self) -> bool:
        """Whether the most probable answer is the right one."""
        return self.answers[0][0] == self.question.answer


def write_examples(snapshot: RunSnapshot, count: int = 12) -> None:
    """Writes `gallery.json` and small pictures for the best complete trial of a search.

    The network is the one that the trial ended with. It was trained on the train split, so the validation questions
    are new to it. Half of the examples are questions it answers right and half are questions it answers wrong, as far
    as there are enough of each; the study's seed decides which. Earlier examples are replaced. If no examples can be
    made, `gallery.json` and a line on stderr say why, and nothing is raised: a search that has finished does not fail
    because a picture is missing.

    Args:
        snapshot: snapshot of the search.
        count: number of examples.
    """
    run = snapshot.folder
    examples: Sequence[Example] = []
    try:
        examples, note = _make_examples(snapshot, count)
    except (InputError, RuntimeError, OSError) as error:  # RuntimeError: out of memory, among others
        note = f"There is no gallery: {' '.join(str(error).split())}."
        print_message(note)
    try:
        _write(run.attention_examples, examples, note)
    except OSError as error:
        print_message(f"There is no gallery: cannot write {shown(run.attention_examples)}: {error.strerror}.")


def _make_examples(snapshot: RunSnapshot, count: int) -> tuple[Sequence[Example], str]:
    """The examples, and a note that says which trial's they are."""
    if snapshot.best is None:
        raise InputError("no trial is complete")
    data = PreparedData.open(folder_of_data(snapshot.settings, snapshot.best.params))
    number, training = snapshot.best.number, _load_best(snapshot, snapshot.best, data)
    data = training.data  # with folds, the last one: its validation questions are new to the network
    candidates, right = _try_candidates(training, data, seed := int(snapshot.settings.get("seed", 0)))
    examples = predict_with_attention(training, data, candidates[choose_examples(right, count, seed)])
    missing = sum(example.picture is None for example in examples)
    note = (
        f"Trial {number} after its last epoch, on {len(right)} validation questions it was not trained on: "
        f"{int(right.sum())} right. The heat maps show each hop's attention."
    )
    if focus := measure_focus(training, data, candidates):
        hops = ", ".join(f"{ratio:.1f} in hop {hop}" for hop, ratio in enumerate(focus.hops, start=1))
        note += f" Attention on what the pictures show on their plain background, relative to an even spread: {hops}."
    return examples, note + (f" {missing} of {len(examples)} pictures are not at hand." if missing else "")


def _load_best(snapshot: RunSnapshot, trial: FrozenTrial, data: PreparedData) -> Training | FoldedTraining:
    """The training of the best trial as it was when it ended."""
    config = TrainingConfig.from_dict(training_settings(snapshot.settings, trial))
    folds = snapshot.settings.get("folds", 1)
    training = new_training(config, data, folds, metric=snapshot.settings.get("metric"))
    try:
        loaded = Checkpoints(checkpoint_folder(snapshot.folder, SEARCH)).load(trial.number, training)
    except (DamagedCheckpointError, OSError, RuntimeError, LookupError, ValueError, TypeError, EOFError) as error:
        raise InputError(f"the checkpoint of trial {trial.number} is damaged or of another version") from error
    if not loaded:
        raise InputError(f"trial {trial.number}, the best, has no checkpoint; --keep 1 or more keeps it")
    return training


def _try_candidates(
    training: Training | FoldedTraining, data: PreparedData, seed: int
) -> tuple[NDArray[np.integer], NDArray[np.bool_]]:
    """Rows of the validation split that are candidates for examples, and whether the network answers each right."""
    split, questions = data.split("validation"), data.questions_of("validation")
    order = np.random.default_rng([seed, 1]).permutation(len(split))
    is_candidate = np.isin(np.arange(len(split)), order[:CANDIDATES])
    candidates = np.flatnonzero(is_candidate)
    answers = predict_split(training.model, data, split.where(is_candidate), training.config.precision).answers
    return candidates, np.array(
        [answer == questions[row].answer for answer, row in zip(answers, candidates, strict=True)]
    )


def choose_examples(right: NDArray[np.bool_], count: int, seed: int) -> list[int]:
    """Positions of right and of wrong answers, half and half where there are enough of both; the right ones first.

    Args:
        right: whether each question was answered right.
        count: number of positions to choose; fewer are returned if there are fewer questions.
        seed: seed of the random choice.
    """
    order = np.random.default_rng(seed).permutation(len(right))
    good, bad = order[right[order]], order[~right[order]]
    wrong = min(len(bad), max(count // 2, count - len(good)))
    return [int(position) for position in (*good[: count - wrong], *bad[:wrong])]


def measure_focus(training: Training | FoldedTraining, data: PreparedData, rows: NDArray[np.integer]) -> Focus | None:
    """The attention on what pictures show; None if a picture has no plain background, or is not at hand.

    Arguments as for `predict_with_attention`.
    """
    split, questions = data.split("validation"), data.questions_of("validation")
    shown: dict[int, Shown] = {}
    for row in rows:
        if (image := int(split.images[row])) not in shown:
            picture = _picture(data, questions[row], image)
            found = find_shown(picture, data.grid, data.grid) if picture else None
            if found is None:
                return None
            shown[image] = found
    parts = [rows[start : start + QUESTIONS_PER_PASS] for start in range(0, len(rows), QUESTIONS_PER_PASS)]
    maps = chain.from_iterable(_attend(training, data, part)[1] for part in parts)
    return Focus.of((shown[int(split.images[row])], of_hops) for row, of_hops in zip(rows, maps, strict=True))


def predict_with_attention(
    training: Training | FoldedTraining, data: PreparedData, rows: NDArray[np.integer]
) -> list[Example]:
    """The network's answers to some questions of the validation split, with the attention of each hop.

    Args:
        training: training whose network answers.
        data: data set of the questions.
        rows: row numbers in the validation split.
    """
    split, questions = data.split("validation"), data.questions_of("validation")
    logits, attention = _attend(training, data, rows)
    best, shares = most_probable(logits, ANSWERS)
    return [
        Example(
            questions[row],
            [(data.answers[index], probability) for index, probability in zip(indices, values, strict=True)],
            of_hops,
            _picture(data, questions[row], int(split.images[row])),
        )
        for row, indices, values, of_hops in zip(rows, best.tolist(), shares.tolist(), attention, strict=True)
    ]


@torch.inference_mode()
def _attend(
    training: Training | FoldedTraining, data: PreparedData, rows: NDArray[np.integer]
) -> tuple[torch.Tensor, NDArray[np.float32]]:
    """The logits of each answer [B, A], and the attention [B, hops, rows, columns]."""
    batch = data.batch(data.split("validation"), rows).to(training.device)
    with autocast(training.device, training.config.precision):
        logits, maps = training.model.eval().attend(*batch.inputs)
    attention = torch.stack(maps, dim=1).reshape(len(rows), -1, data.grid, data.grid)
    return logits, attention.float().cpu().numpy()


def _picture(data: PreparedData, question: Question, row: int) -> Image.Image | None:
    """A question's picture, from its file or the prepared pixels; None where neither is there."""
    if data.fine_tune:
        return Image.fromarray(data.images[row].numpy())
    try:
        return open_picture(data.image_files[question.image], grey_range=data.grey_range).image
    except (InputError, KeyError):
        return None


def _write(folder: Path, examples: Sequence[Example], note: str) -> None:
    """Replaces the folder by one with the pictures and `gallery.json`."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    items = [_write_pictures(partial, place, example) for place, example in enumerate(examples)]
    write_json(partial / ATTENTION_EXAMPLES_FILE, {"note": note, "items": items})
    if folder.exists():
        shutil.rmtree(folder)
    name_folder(partial, folder)


def _write_pictures(folder: Path, place: int, example: Example) -> Mapping[str, Any]:
    """Writes an example's pictures; returns its entry in `gallery.json`."""
    small = None if example.picture is None else _shrink(example.picture)
    pictures = {} if small is None else {f"{place:02d}.jpg": small}
    hops = {
        f"{place:02d}-hop{hop}.jpg": draw_heat_map(small, weights) for hop, weights in enumerate(example.attention, 1)
    }
    for name, picture in {**pictures, **hops}.items():
        picture.save(folder / name, quality=85)
    return {
        "question": example.question.text,
        "answer": example.question.answer,
        "right": example.is_right,
        "answers": example.answers,
        "picture": next(iter(pictures), None),
        "hops": list(hops),
    }


def _shrink(picture: Image.Image) -> Image.Image:
    """The picture with a longest edge of `EDGE` pixels."""
    scale = EDGE / max(picture.size)
    width, height = (max(1, round(edge * scale)) for edge in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def draw_heat_map(picture: Image.Image | None, attention: NDArray[np.float32]) -> Image.Image:
    """One hop's attention [rows, columns] as a heat map over the grey picture, or alone if there is no picture.

    Colours go from 0 to the largest attention weight.
    """
    size = picture.size if picture else (EDGE, EDGE)
    overlay = heat_layer(attention, size)
    return Image.blend(picture.convert("L").convert("RGB"), overlay, _OPACITY) if picture else overlay
