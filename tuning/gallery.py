"""A gallery of what a search's best trial says to validation questions, and where it looks."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray
from optuna.trial import FrozenTrial
from PIL import Image

from results.run_folder import SEARCH, SEED, RunFolder, write_json
from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.data.images import open_picture
from san_core.data.prepared import PreparedData
from san_core.data.questions import Question
from san_core.errors import InputError
from san_core.evaluation import predict_split
from san_core.hardware import autocast
from san_core.training import Training
from tuning.execution.checkpoints import Checkpoints, checkpoint_place
from tuning.study.study import best_trial

INDEX = "gallery.json"

SIDE = 192
"""Longest edge of a picture, in pixels."""

DRAWN = 1000
"""Validation questions that right and wrong answers are looked for among."""

ANSWERS = 3
"""Likeliest answers that are shown."""

_HEAT, _OPACITY = "inferno", 0.6


@dataclass(frozen=True, eq=False)
class Look:
    """What a network says to a question, and where it looked.

    Attributes:
        answers: the likeliest answers and their probabilities, best first.
        attention: [hops, side, side], each hop's shares of attention.
    """

    answers: list[tuple[str, float]]
    attention: NDArray[np.float32]


def write_gallery(run: RunFolder, count: int = 12) -> None:
    """Writes the gallery of a search's best complete trial: `gallery.json` and small pictures.

    The network is the one the trial ended with. It was trained on the train split, so the validation questions are
    new to it. Half of the questions are ones it gets right, half ones it gets wrong, as far as there are so many;
    which ones follows from the study's seed. A gallery that was there is replaced. Where there can be none, its note
    and a line on the screen say why: a search that has finished does not fail for want of pictures.

    Args:
        run: a search; its data are where they were.
        count: questions in the gallery.
    """
    pictures: dict[str, Image.Image] = {}
    listed: list[dict[str, Any]] = []
    try:
        items, note = _look(run, count)
        listed = [_list_item(place, item, pictures) for place, item in enumerate(items)]
    except (InputError, RuntimeError, OSError) as error:  # RuntimeError: out of memory, among others
        note = f"There is no gallery: {' '.join(str(error).split())}."
        print_message(note)
    try:
        _write(run.gallery, listed, note, pictures)
    except OSError as error:
        print_message(f"There is no gallery: cannot write {run.gallery}: {error.strerror}.")


def choose(right: NDArray[np.bool_], count: int, seed: int) -> list[int]:
    """Rows of right and of wrong answers, half and half where there are enough of both; the right ones first.

    Args:
        right: whether each question was answered right.
        count: rows to choose; fewer where there are fewer questions.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(right))
    good, bad = order[right[order]], order[~right[order]]
    wrong = min(len(bad), max(count // 2, count - len(good)))
    return [int(row) for row in (*good[: count - wrong], *bad[:wrong])]


def _look(run: RunFolder, count: int) -> tuple[list[tuple[Question, Look, Image.Image | None]], str]:
    """Questions with what the network says to them and their pictures, and what the gallery is of."""
    trial = best_trial(run.study())
    if trial is None:
        raise InputError("no trial is complete")
    data = PreparedData.open(Path(run.setting("data")))
    training = _trained(run, trial, data)
    split, questions, seed = data.split("validation"), data.questions_of("validation"), int(run.settings.get("seed", 0))
    drawn = np.isin(np.arange(len(split)), np.random.default_rng([seed, 1]).permutation(len(split))[:DRAWN])
    numbers = np.flatnonzero(drawn)
    said = predict_split(training.model, data, split.where(drawn), training.config.precision).answers
    right = np.array([answer == questions[number].answer for answer, number in zip(said, numbers, strict=True)])
    rows = numbers[choose(right, count, seed)]
    looks = look(training, data, rows)
    items = [
        (questions[row], seen, _picture(data, questions[row], int(split.images[row])))
        for row, seen in zip(rows, looks, strict=True)
    ]
    missing = sum(picture is None for _, _, picture in items)
    note = (
        f"Trial {trial.number} after its last epoch, on {len(right)} validation questions it was not trained on: "
        f"{int(right.sum())} right. The heat maps show each hop's attention."
    )
    return items, note + (f" {missing} of {len(items)} pictures are not at hand." if missing else "")


def _trained(run: RunFolder, trial: FrozenTrial, data: PreparedData) -> Training:
    """The trial's training as it was when it ended."""
    settings = {**run.setting("fixed"), **trial.params, "seed": trial.user_attrs.get(SEED, 0)}
    training = Training(TrainingConfig.from_dict(settings), data, metric=run.settings.get("metric"))
    try:
        found = Checkpoints(checkpoint_place(run, SEARCH)).load(trial.number, training)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, EOFError, UnpicklingError) as error:
        raise InputError(f"the checkpoint of trial {trial.number} is damaged or of another version") from error
    if found is None:
        raise InputError(f"trial {trial.number}, the best, has no checkpoint; --keep 1 or more keeps it")
    return training


@torch.inference_mode()
def look(training: Training, data: PreparedData, rows: NDArray[np.integer]) -> list[Look]:
    """What the network says to some validation questions, and where it looks."""
    model = training.model.eval()
    batch = data.batch(data.split("validation"), rows).to(training.device)
    with autocast(training.device, training.config.precision):
        logits, maps = model.attend(*batch.inputs)
    best = logits.float().softmax(dim=1).topk(min(ANSWERS, len(data.answers)))
    attention = torch.stack(maps, dim=1).float().cpu().numpy()  # [B, hops, R]
    side = data.grid
    return [
        Look([(data.answers[n], p) for n, p in zip(numbers, shares, strict=True)], grid.reshape(-1, side, side))
        for numbers, shares, grid in zip(best.indices.tolist(), best.values.tolist(), attention, strict=True)
    ]


def _picture(data: PreparedData, question: Question, row: int) -> Image.Image | None:
    """A question's picture, from its file or the prepared pixels; None where neither is at hand."""
    if data.fine_tune:
        return Image.fromarray(data.images[row].numpy())
    try:
        return open_picture(data.image_files[question.image]).image
    except (InputError, KeyError):
        return None


def _list_item(
    place: int, item: tuple[Question, Look, Image.Image | None], pictures: dict[str, Image.Image]
) -> dict[str, Any]:
    """What `gallery.json` says of a question; adds its pictures to `pictures`."""
    question, seen, picture = item
    hops = [f"{place:02d}-hop{hop}.jpg" for hop in range(1, len(seen.attention) + 1)]
    small = None if picture is None else _fit(picture)
    pictures |= {name: heat(small, shares) for name, shares in zip(hops, seen.attention, strict=True)}
    if small is not None:
        pictures[f"{place:02d}.jpg"] = small
    return {
        "question": question.text,
        "answer": question.answer,
        "right": seen.answers[0][0] == question.answer,
        "answers": seen.answers,
        "picture": f"{place:02d}.jpg" if small is not None else None,
        "hops": hops,
    }


def _fit(picture: Image.Image) -> Image.Image:
    """The picture with a longest edge of `SIDE` pixels."""
    scale = SIDE / max(picture.size)
    width, height = (max(1, round(edge * scale)) for edge in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def heat(picture: Image.Image | None, shares: NDArray[np.float32]) -> Image.Image:
    """Shares of attention [rows, columns] as a heat map over the grey picture; alone where there is none.

    Colours go from 0 to the largest share.
    """
    size = picture.size if picture else (SIDE, SIDE)
    spread = Image.fromarray(shares / shares.max()).resize(size, Image.Resampling.BICUBIC)
    colors = mpl.colormaps[_HEAT](np.asarray(spread).clip(0, 1))[..., :3]
    overlay = Image.fromarray((255 * colors).astype(np.uint8))
    return Image.blend(picture.convert("L").convert("RGB"), overlay, _OPACITY) if picture else overlay


def _write(folder: Path, items: list[dict[str, Any]], note: str, pictures: Mapping[str, Image.Image]) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    for name, picture in pictures.items():
        picture.save(folder / name, quality=85)
    write_json(folder / INDEX, {"note": note, "items": items})
