"""`python -m san_core.predict MODEL IMAGE "question"`: the command that answers questions with a trained model."""

import argparse
import json

import san_core
from san_core.command_line import CommandLine, number, path, print_message, run_command
from san_core.data.images.reading import open_picture
from san_core.errors import InputError
from san_core.files import is_file
from san_core.hardware import limit_threads
from san_core.prediction.answer_list import ListTask, answer_list
from san_core.table_options import add_column_option, chosen_columns

_TOP = 5
_LIST_OPTIONS = ("images", "image_name", "column", "out", "strict", "allow_loss")


def _parse() -> argparse.Namespace:
    parser = CommandLine(
        "san_core.predict",
        "Answers a question about an image with the five most probable answers, or every question of a list with "
        "the most probable one.",
    )
    add = parser.add_argument
    add("model", type=path, metavar="MODEL", help="model folder written by tuning.retrain")
    add("image", type=path, nargs="?", metavar="IMAGE", help="any image file")
    add("question", nargs="?", metavar="QUESTION", help="the question, in quotes")
    add(
        "--attention",
        type=path,
        metavar="OUT",
        help="draw the attention: a .png, .pdf or .svg file, or for a list a folder with a .png per question",
    )
    add(
        "--top",
        type=number(int, at_least=1),
        metavar="N",
        help=f"answers to print (default: {_TOP}); with a list, answers to write to each question, with their "
        "probabilities and the words that the model does not know (default: the most probable answer alone)",
    )
    add("--json", action="store_true", help="print the result as JSON")
    add = parser.add_argument_group("a list of questions").add_argument
    add(
        "--questions",
        type=path,
        metavar="FILE",
        help="JSON in the layout of the VQA questions; or JSON, JSON lines, CSV, TSV or Parquet with a question, a "
        "picture and an id in each row",
    )
    add("--images", type=path, metavar="FOLDER", help="folder of the images of the list (default: that of the list)")
    add(
        "--image-name",
        metavar="PATTERN",
        help="file name of an image_id, such as COCO_val2014_{image_id:012d}.jpg (default: searched for by name, id "
        "or number)",
    )
    add_column_option(add)
    add("--out", type=path, metavar="FILE", help="file for the answers (default: answers.json)")
    add("--strict", action="store_true", help="stop at the first question that cannot be answered")
    add(
        "--allow-loss",
        type=number(float, at_least=0, below=1),
        metavar="SHARE",
        help="share of the questions that may be left out because something is wrong with them (default: 0.01; one "
        "always may); with it a damaged list is read as far as it can be",
    )
    arguments = parser.parse_intermixed_args()
    problem = _find_contradiction(arguments)
    if problem:
        parser.error(problem)
    return arguments


def _find_contradiction(arguments: argparse.Namespace) -> str | None:
    given = {name: getattr(arguments, name) for name in _LIST_OPTIONS}
    list_only = [name for name, value in given.items() if value is not None and value is not False and value != []]
    if arguments.questions and arguments.image:
        return "IMAGE and QUESTION, or --questions: give one or the other, not both"
    if arguments.questions:
        return None
    if arguments.question is None:
        return "IMAGE or QUESTION is missing; or give --questions for a list"
    if list_only:
        return f"--{list_only[0].replace('_', '-')} needs --questions"
    return None


def main() -> None:
    """Prints the answers to a question with their probabilities, one per line; or answers a list of questions."""
    arguments = _parse()
    limit_threads()
    if arguments.questions:
        _answer_list(arguments)
    else:
        _answer_one(arguments)


def _answer_list(arguments: argparse.Namespace) -> None:
    task = ListTask(
        questions=arguments.questions,
        images=arguments.images,
        image_name=arguments.image_name,
        columns=chosen_columns(arguments),
        out=arguments.out or ListTask.out,
        attention=arguments.attention,
        strict=arguments.strict,
        top=arguments.top,
        allow_loss=arguments.allow_loss,
    )
    answered, left_out = answer_list(arguments.model, task)
    if arguments.json:
        print(json.dumps({"answered": answered, "left_out": left_out, "answers": str(task.out)}))
    print_message(f"{answered} answered, {left_out} left out: {task.out}")


def _answer_one(arguments: argparse.Namespace) -> None:
    image, question, attention = arguments.image, arguments.question, arguments.attention
    if attention is not None:
        from san_core.prediction.attention_map import check_format, draw_attention  # importing matplotlib is slow

        check_format(attention)
        if is_file(attention) and is_file(image) and attention.samefile(image):
            raise InputError(f"--attention {attention} would overwrite the image")
    model = san_core.load(arguments.model)
    reply = model.ask(image, question, top=arguments.top or _TOP)
    if attention is not None:
        draw_attention(open_picture(image, grey_range=model.grey_range).image, question, reply, attention)
    if arguments.json:
        print(json.dumps(reply.to_dict()))
        return
    print(*reply.answers, sep="\n")
    if reply.note:
        print_message(f"note: {reply.note}")


if __name__ == "__main__":
    run_command(main)
