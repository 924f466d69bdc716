"""`python -m san_core.export MODEL OUT.pt2`: writes a model as one file that runs with torch alone (torch.export)."""

import argparse
import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch.export import ExportedProgram

import san_core
from san_core.command_line import CommandLine, number, path, print_message, run_command
from san_core.data.vocabulary import PADDING, UNKNOWN
from san_core.errors import InputError
from san_core.files import exists, path_from_home, write_atomically
from san_core.hardware import limit_threads
from san_core.models.exportable_san import ExportableSAN
from san_core.prediction.trained_model import TrainedModel

SUFFIX = ".pt2"

DESCRIPTION = "model.json"
"""Name of the extra file with what the program needs besides its weights: how to make its inputs, and the answers."""

WORDS = 40
"""Most words of a question, unless it is chosen."""

_TOLERANCE = 1e-3
_CHECKED = 5


def export_model(folder: str | Path, out: str | Path, *, words: int = WORDS) -> float:
    """Writes a model as one file that runs with torch alone, in float32, and checks it against `TrainedModel.ask`.

    `torch.export.load(out, extra_files={"model.json": ""}).module()` takes an image [1, S, S, 3] (uint8, RGB) and the
    numbers of the words of a question [1, words], filled up with 0, and returns the probability of each answer [1, A]
    and the attention of each hop [1, N, R].

    Args:
        folder: model folder.
        out: file to write, whose name ends in `.pt2`; nothing is there yet.
        words: most words of a question, >= 1.

    Returns:
        The largest difference between a probability or an attention weight and that of the model.

    Raises:
        InputError: if the model cannot be loaded, the file cannot be written, or the results differ.
    """
    out = path_from_home(out)
    if out.suffix != SUFFIX:
        raise InputError(f"cannot export to {out}: accepted is a name that ends in {SUFFIX}")
    if exists(out):
        raise InputError(f"{out} exists already; choose another name, or delete it")
    model = san_core.load(folder)
    model.network.cpu()
    program = io.BytesIO()
    with warnings.catch_warnings(), _explain(folder):
        warnings.simplefilter("ignore")  # torch warns of how it stores an LSTM's weights
        exported = _export(model, words)
        torch.export.save(exported, program, extra_files={DESCRIPTION: json.dumps(_description(model, words))})
        program.seek(0)
        difference = _difference(torch.export.load(program), model, words)
    if not difference <= _TOLERANCE:
        raise InputError(f"{folder} cannot be exported: its answers would differ by {difference:.2g}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, lambda partial: partial.write_bytes(program.getvalue()))
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
    return difference


@contextmanager
def _explain(folder: str | Path) -> Iterator[None]:
    """Turns an error of torch.export, which raises many kinds, into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{folder} cannot be exported, since torch.export fails: {reason}") from error


@torch.no_grad()
def _export(model: TrainedModel, words: int) -> ExportedProgram:
    size = model.image_size
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8), torch.full((1, words), UNKNOWN)
    return torch.export.export(ExportableSAN(model.network), example)


def _description(model: TrainedModel, words: int) -> dict[str, object]:
    """What makes the inputs and reads the output: sizes, the number of each word, the answers in order."""
    return {
        "image_size": model.image_size,
        "grey_range": model.grey_range,
        "question_words": words,
        "tokenizer": model.words.tokenizer,
        "padding": PADDING,
        "unknown_word": UNKNOWN,
        "words": {word: n for n, word in enumerate(model.words.words, start=UNKNOWN + 1)},
        "answers": model.answers,
    }


@torch.no_grad()
def _difference(program: ExportedProgram, model: TrainedModel, words: int) -> float:
    """The largest difference from the model in float32, over random pictures and questions of known words."""
    precise = {**model.description, "config": {**model.description["config"], "precision": "float32"}}
    reference, run, rng = TrainedModel(model.network, precise), program.module(), np.random.default_rng(0)
    differences = [0.0]
    for length in np.linspace(1, words, _CHECKED).astype(int):
        pixels = rng.integers(0, 256, (model.image_size, model.image_size, 3), dtype=np.uint8)
        question = " ".join(rng.choice(model.words.words, length))
        numbers = model.words.encode(question)
        if len(numbers) > words:  # one in a script without spaces may be split differently than it was in the data
            continue
        tokens = torch.tensor([numbers + [PADDING] * (words - len(numbers))])
        probabilities, attention = (found.double().numpy()[0] for found in run(torch.from_numpy(pixels[None]), tokens))
        reply = reference.reply(pixels, question, top=len(model.answers))
        expected = {answer.text: answer.probability for answer in reply.answers}
        differences.append(np.abs(probabilities - [expected[text] for text in model.answers]).max())
        differences.append(np.abs(attention - reply.attention.reshape(attention.shape)).max())
    return float(max(differences))


def _parse() -> argparse.Namespace:
    parser = CommandLine(
        "san_core.export",
        "Writes a model as one file that runs with torch alone, by torch.export, and checks that it answers as the "
        "model does. The file also has the words, the answers and the size of pictures.",
    )
    add = parser.add_argument
    add("model", type=path, metavar="MODEL", help="model folder written by tuning.retrain")
    add("out", type=path, metavar="OUT", help=f"file to write; its name ends in {SUFFIX}")
    add("--words", type=number(int, at_least=1), metavar="N", default=WORDS, help="most words of a question")
    return parser.parse_args()


def main() -> None:
    """Exports a model, and says how exactly it answers."""
    arguments = _parse()
    limit_threads()
    difference = export_model(arguments.model, arguments.out, words=arguments.words)
    print_message(f"{arguments.out}: probabilities differ from those of the model by at most {difference:.1g}")


if __name__ == "__main__":
    run_command(main)
