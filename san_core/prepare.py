"""`python -m san_core.prepare NAME`: the command that prepares a data set for training."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from san_core.command_line import CommandLine, number, path, print_message, run_command
from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PROBLEMS, PreparedData
from san_core.data.raw_dataset import Location, VQAFiles
from san_core.data.readers import READERS
from san_core.errors import InputError
from san_core.hardware import limit_threads
from san_core.preparation_options import Combination, add_encoding_options, combinations
from san_core.table_options import add_table_options, given_options, table_location

_OWN = ("questions", "annotations", "images")
_PICTURES = ("images", "image_name")
_OWN_TEST = ("test_questions", "test_annotations", "test_images", "test_image_name")


def _parse() -> argparse.Namespace:
    parser = CommandLine("san_core.prepare", "Prepares a data set: encodes its images once, for all trials.")
    add = parser.add_argument
    add(
        "name",
        metavar="NAME",
        help=f"data set: {', '.join(READERS)}; the last two are your own data: the official VQA layout, tables",
    )
    add("--root", type=path, metavar="FOLDER", help="folder with the data set's files (not for easy-vqa and your own)")
    add_encoding_options(parser)
    add(
        "--weights",
        type=path,
        metavar="FILE",
        help="weights for an encoder of torchvision or timm, .pth or .safetensors (default: the pretrained ones, from "
        "the library's cache or downloaded to it)",
    )
    add("--fine-tune", action="store_true", help="keep pixels, so that training trains the encoder too")
    add(
        "--top-answers",
        type=number(int, at_least=1),
        metavar="N",
        help="size of the answer vocabulary (default for your own data and VQA: 1000, else all answers)",
    )
    add("--single-answers", action="store_true", help="DAQUAR: leave out questions whose answer is several things")
    add(
        "--word-vectors",
        type=path,
        metavar="FILE",
        help="pretrained word vectors, in word2vec's or GloVe's text format",
    )
    add("--seed", type=number(int, at_least=0), default=0, help="of the random choice of validation images")
    add(
        "--keep-answers",
        action="store_true",
        help="keep answers apart that differ only in capitals, blanks, a final full stop or Unicode form",
    )
    add("--strict", action="store_true", help="make every problem of the data an error")
    add(
        "--allow-loss",
        type=number(float, at_least=0, below=1),
        metavar="SHARE",
        help="share of the entries of each file that may be left out because something is wrong with them (default: "
        "0.01; one entry always may); with it damaged files are read as far as they can be",
    )
    add(
        "--out",
        type=path,
        metavar="FOLDER",
        help="folder to write; with several combinations the beginning of their folders' names (default: data/NAME)",
    )
    add_table_options(parser)
    own = parser.add_argument_group("your own files (NAME vqa; some also for NAME table)")
    own.add_argument("--questions", type=path, metavar="JSON", help="training questions")
    own.add_argument("--annotations", type=path, metavar="JSON", help="their answers")
    own.add_argument("--images", type=path, metavar="FOLDER", help="their images (table: default the folder of FILE)")
    own.add_argument(
        "--image-name",
        metavar="PATTERN",
        help="file name of an image_id, such as COCO_train2014_{image_id:012d}.jpg (default: searched for by name, id "
        "or number)",
    )
    own.add_argument("--test-questions", type=path, metavar="JSON", help="test questions")
    own.add_argument(
        "--test-annotations",
        type=path,
        metavar="JSON",
        help="their answers; without them the questions are only answered",
    )
    own.add_argument("--test-images", type=path, metavar="FOLDER", help="their images (default: --images)")
    own.add_argument("--test-image-name", metavar="PATTERN", help="their file names (default: --image-name)")
    own.add_argument(
        "--test-share",
        type=number(float, at_least=0, below=1),
        default=0.0,
        metavar="SHARE",
        help="share of the images to use for testing, if there are no test questions",
    )
    return parser.parse_intermixed_args()


def main() -> int:
    """Prepares the data set, or opens it if it is prepared already, and prints what is in it.

    Returns:
        The exit code: 2 if one of several combinations cannot be prepared, after the others were.
    """
    arguments = _parse()
    limit_threads()
    options = Options(
        weights=arguments.weights,
        fine_tune=arguments.fine_tune,
        top_answers=arguments.top_answers,
        word_vectors=arguments.word_vectors,
        test_share=arguments.test_share,
        seed=arguments.seed,
        strict=arguments.strict,
        allow_loss=arguments.allow_loss,
        keep_answers=arguments.keep_answers,
    )
    out = arguments.out or Path("data") / arguments.name
    wanted, location = list(combinations(arguments, out)), _location(arguments, out)
    try:
        if len(wanted) > 1:
            prepared = _prepare_several(arguments.name, wanted, options, location)
        else:
            prepared = [prepare(arguments.name, out, replace(options, **wanted[0].chosen), location)]
    except KeyboardInterrupt:
        print_message("run the same command again to continue")
        raise
    if prepared:
        _print(prepared)
    return 0 if len(prepared) == len(wanted) else 2


def _prepare_several(
    name: str, wanted: Sequence[Combination], options: Options, location: Location
) -> list[PreparedData]:
    """Prepares the combinations one after the other; prints a line for each, with the reason if it cannot be done."""
    prepared = []
    for place, each in enumerate(wanted, start=1):
        print_message(f"{place} of {len(wanted)}: {each.folder}")
        try:
            prepared.append(prepare(name, each.folder, replace(options, **each.chosen), location))
        except InputError as error:
            print_message(f"error: {each.folder} was not prepared: {error}")
    return prepared


def _location(arguments: argparse.Namespace, out: Path) -> Location:
    """Where the files are, from the options.

    Raises:
        InputError: if an option is given that is not for this data set.
    """
    name = arguments.name
    if arguments.single_answers and not name.startswith("daquar"):
        raise InputError(f"--single-answers is for daquar-all and daquar-reduced, but got {name}")
    if arguments.root and name in ("easy-vqa", "vqa", "table"):
        raise InputError(f"--root is not for the data set {name}")
    if name != "table" and (given := list(given_options(arguments))):
        raise InputError(f"{given[0]} is for the data set table, but got {name}")
    if name == "vqa":
        return _own_files(arguments)
    for_vqa = [option for option in (*_OWN, "image_name", *_OWN_TEST) if name != "table" or option not in _PICTURES]
    given = [f"--{option.replace('_', '-')}" for option in for_vqa if getattr(arguments, option)]
    if name == "table" and not given:
        return table_location(arguments, out)
    if given:
        raise InputError(f"{given[0]} is for the data set vqa, but got {name}")
    return Location(root=arguments.root, single_answers=arguments.single_answers)


def _own_files(arguments: argparse.Namespace) -> Location:
    """Where the user's own files are, from the options.

    Raises:
        InputError: if an option is missing, or needs another one.
    """
    missing = [option for option in _OWN if getattr(arguments, option) is None]
    if missing:
        raise InputError(f"the data set vqa needs --{missing[0]}")
    train = VQAFiles(arguments.questions, arguments.annotations, arguments.images, arguments.image_name)
    if arguments.test_questions is None:
        unused = [option for option in _OWN_TEST if getattr(arguments, option)]
        if unused:
            raise InputError(f"--{unused[0].replace('_', '-')} needs --test-questions")
        return Location(train=train)
    images, image_name = arguments.test_images or train.images, arguments.test_image_name or train.image_name
    return Location(
        train=train, test=VQAFiles(arguments.test_questions, arguments.test_annotations, images, image_name)
    )


def _print(prepared: Sequence[PreparedData]) -> None:
    """Prints what is in the data; of several preparations, what their questions have in common is that of the first."""
    data = prepared[0]
    manifest = data.manifest
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    console.print(
        f"{data.name}: {manifest['images']:,} images, {len(data.answers):,} answers, {len(data.words.words):,} words"
    )
    for each in prepared:
        place = f", in {each.folder}" if len(prepared) > 1 else ""
        regions = f"{each.grid} x {each.grid} at {each.image_size} pixels{place}"
        console.print(f"regions of {each.encoder} {each.layer}: {regions}", soft_wrap=True)
    console.print()
    rows = {f"{name} as shipped": row for name, row in manifest["as_shipped"].items()} | manifest["coverage"]
    types = list(dict.fromkeys(name for row in rows.values() for name in row["answer_types"]))
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    headings = ["", "questions", "images", *types, "answer not in\nvocabulary", "unknown\nwords"]
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    for name, row in rows.items():
        counts = [row["questions"], row["images"], *(row["answer_types"].get(kind, 0) for kind in types)]
        unknown = f"{row['unknown_words']:,} of {row['words']:,}"
        outside = row["answered"] - row["known_answers"]
        table.add_row(name, *(f"{count:,}" for count in counts), f"{outside:,}" if row["answered"] else "–", unknown)
    console.print(table)
    if manifest["notes"]:
        console.print("\nnotes:", soft_wrap=True)
        for line in manifest["notes"]:
            console.print(f"  {line}", soft_wrap=True)
    if manifest["problems"]:
        console.print(f"\nproblems ({data.folder / PROBLEMS} lists them all):", soft_wrap=True)
        for line in manifest["problems"]:
            console.print(f"  {line}", soft_wrap=True)
    folders = " ".join(f"--data {each.folder}" for each in prepared)
    console.print(
        f"\nsearch on {'it' if len(prepared) == 1 else 'them'}: python -m tuning.search {folders}", soft_wrap=True
    )


if __name__ == "__main__":
    run_command(main)
