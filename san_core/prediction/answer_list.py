"""Answers a list of questions, and writes the answers in the official format of VQA results."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from san_core.checkpoint import load_model
from san_core.command_line import print_message
from san_core.data.images.folder import ImageFolder
from san_core.data.images.grey_values import Range
from san_core.data.images.reading import load_pixels, open_picture
from san_core.data.problems import Problems
from san_core.data.progress_bar import progress_bar
from san_core.data.tables.embedded_pictures import PictureFolder
from san_core.errors import InputError
from san_core.prediction.question_list import ListedQuestion, read_questions
from san_core.prediction.trained_model import Reply, TrainedModel

_IMAGES_PER_BATCH = 16
_DRAWN = 5  # answers in a figure
_SHOWN_WORDS = 10

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ListTask:
    """The questions to answer, and where to write the answers.

    Attributes:
        questions: file with the questions, see `read_questions`.
        images: folder of their images; None for the folder of `questions`.
        image_name: Python format that makes a file name of an `image_id`; None where `ImageFolder` finds it without.
        columns: columns that have other names than people use, by role, see `find_columns`.
        out: file for the answers; it must not exist yet.
        attention: new or empty folder for one figure per question, named by its id.
        strict: raise an error at the first question that cannot be answered.
        top: number of answers to write to each question, >= 1, with their probabilities and the words that the model
            does not know; None writes the most probable answer alone, as VQA's evaluation server takes it.
        allow_loss: largest share of the questions that may be left out, in [0, 1); one always may. None allows 0.01,
            and no damaged list whose lost questions nobody can count.
    """

    questions: Path
    images: Path | None = None
    image_name: str | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    out: Path = Path("answers.json")
    attention: Path | None = None
    strict: bool = False
    top: int | None = None
    allow_loss: float | None = None


def answer_list(model_folder: Path, task: ListTask) -> tuple[int, int]:
    """Answers the questions of a list, prints those it cannot answer, and writes `[{question_id, answer}]`.

    It also prints how many questions have words that the model does not know.
    Images are decoded while the network works on the previous ones; at most two batches of images are in memory.

    Returns:
        The number of questions answered, and the number left out.

    Raises:
        InputError: if no question can be answered, more are left out than is allowed, a file or folder cannot be used,
            or, if strict, for the first question that cannot be answered.
    """
    folder = ImageFolder(task.images or task.questions.parent, pattern=task.image_name, beside=task.questions)
    problems = Problems(strict=task.strict, allowed_loss=task.allow_loss)
    with TemporaryDirectory() as written:
        pictures = PictureFolder(Path(written))
        questions = read_questions(task.questions, folder, problems, columns=task.columns, pictures=pictures)
        problems.check_losses()
        for line in (*problems.notes, *map(str, problems.found)):
            print_message(line)
        if questions:
            _check_output(task)
            answers = _answer_all(load_model(model_folder), questions, task, problems)
    if not questions or not answers:
        raise InputError(f"{task.questions} has no question that can be answered")
    results = [{"question_id": q.id, **answers[q]} for q in questions if q in answers]
    _write(task.out, json.dumps(results) + "\n")
    return len(results), sum(problem.lost for problem in problems.found)


def _check_output(task: ListTask) -> None:
    """Checks that the answers can be written, before they are computed."""
    try:
        if task.out.exists():
            raise InputError(f"{task.out} exists already; choose another file with --out, or delete it")
        _write(task.out, "")
        task.out.unlink()
    except OSError as error:
        raise InputError(f"cannot write {task.out}: {error.strerror}") from error
    if task.attention is None:
        return
    try:
        task.attention.mkdir(parents=True, exist_ok=True)
        if any(task.attention.iterdir()):
            raise InputError(f"--attention must name a new or an empty folder, but {task.attention} has files in it")
    except OSError as error:
        raise InputError(f"cannot use folder {task.attention}: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    """Writes a file that gets its name only when it is complete."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def _answer_all(
    model: TrainedModel, questions: Sequence[ListedQuestion], task: ListTask, problems: Problems
) -> dict[ListedQuestion, dict[str, Any]]:
    """What is written of each question that can be answered."""
    by_image: dict[Path, list[ListedQuestion]] = {}
    for question in questions:
        by_image.setdefault(question.image, []).append(question)
    answers: dict[ListedQuestion, dict[str, Any]] = {}
    unknown: Counter[str] = Counter()
    with_unknown = 0
    with progress_bar("questions", terminal_only=True) as progress:
        bar = progress.add_task("answering", total=len(questions))
        for batch in _load_batches(list(by_image), model):
            printed = len(problems.found)
            matched = _match(batch, by_image, problems)
            problems.check_losses()
            progress.advance(bar, len(problems.found) - printed)
            pairs = [(pixels, question.text) for question, pixels in matched]
            replies = model.replies(pairs, top=task.top or (1 if task.attention is None else _DRAWN))
            for (question, _), reply in zip(matched, replies, strict=True):
                answers[question] = reply.to_dict() if task.top else {"answer": reply.answers[0].text}
                unknown.update(reply.unknown_words)
                with_unknown += bool(reply.unknown_words)
                if task.attention is not None:
                    _draw(question, reply, task.attention, model.grey_range, problems)
                progress.advance(bar)
            _print_problems(problems, printed)
    if unknown:
        first = ", ".join(word for word, _ in unknown.most_common(_SHOWN_WORDS))
        print_message(
            f"questions with words that the model does not know: {with_unknown} of {len(answers)}; most often: {first}"
        )
    return answers


def _load_batches(images: Sequence[Path], model: TrainedModel) -> Iterator[dict[Path, Future[Pixels]]]:
    """Yields the pixels of each batch of images; the next batch is decoded in the meantime."""
    with ThreadPoolExecutor() as pool:

        def submit(start: int) -> dict[Path, Future[Pixels]]:
            paths = images[start : start + _IMAGES_PER_BATCH]
            return {path: pool.submit(load_pixels, path, model.image_size, model.grey_range) for path in paths}

        next_batch = submit(0)
        try:
            for start in range(0, len(images), _IMAGES_PER_BATCH):
                batch, next_batch = next_batch, submit(start + _IMAGES_PER_BATCH)
                yield batch
        finally:
            for future in next_batch.values():
                future.cancel()


def _match(
    batch: Mapping[Path, Future[Pixels]], by_image: Mapping[Path, Sequence[ListedQuestion]], problems: Problems
) -> list[tuple[ListedQuestion, Pixels]]:
    """The questions about the images of a batch, each with its pixels."""
    matched = []
    for path, future in batch.items():
        try:
            pixels = future.result()
            matched += [(question, pixels) for question in by_image[path]]
        except InputError as error:
            for question in by_image[path]:
                problems.lose("picture cannot be read, left out", question, str(error), file=question.file)
    return matched


def _draw(question: ListedQuestion, reply: Reply, folder: Path, grey_range: Range | None, problems: Problems) -> None:
    from san_core.prediction.attention_map import draw_attention  # importing matplotlib is slow

    name = quote(str(question.id), safe=" ", errors="backslashreplace")  # an id may contain a slash
    try:
        picture = open_picture(question.image, grey_range=grey_range).image
        draw_attention(picture, question.text, reply, folder / f"{name}.png")
    except InputError as error:
        problems.add("answered, but not drawn", question, str(error))


def _print_problems(problems: Problems, printed: int) -> None:
    for problem in problems.found[printed:]:
        print_message(str(problem))
