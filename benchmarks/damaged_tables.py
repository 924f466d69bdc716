"""`python -m benchmarks.damaged_tables`: prepares randomly damaged tables, and checks the pairs that come out.

Each row of a table has one word in its question, its answer and the name of its picture. Whatever is damaged, the
command must end well (exit code 0, what is left out is counted) or with one line (2); never with a traceback, and never
with a question that has the answer or the picture of another row. Damage that makes another valid row cannot be told
from a row, so lines are deleted, repeated and cut, but not merged.
"""

import argparse
import contextlib
import gzip
import io
import json
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from rich.table import Table

from benchmarks.output import add_output_options, output_results
from san_core import prepare
from san_core.command_line import CommandLine, number, run_command
from san_core.data.prepared import PreparedData
from san_core.files import is_file

ROWS = 24
HUGE = 300_000
"""Characters of a huge cell."""

INNER = "inner.png"
"""A picture that only lines inside of a question name, which look like rows."""

Rows = list[dict[str, Any]]
_WORD = re.compile(r"w[0-9a-f]{8}w")


def word(index: int) -> str:
    """The word of a row; damage does not make one word of another."""
    return f"w{(index + 1) * 2654435761 % 2**32:08x}w"


WORDS = {word(index): index for index in range(ROWS)}


def _rows(rng: random.Random, *, several_lines: bool) -> Rows:
    lines = "\n".join([",".join([INNER] * rng.choice([4, 5]))] * 3)
    table = f",of this table,is it?\n{lines}\n"
    more = rng.choice(["", ", and why", '; what does "stop" say', " über ähnliche Dinge", "\nin two lines", table])
    more = more if several_lines else more.replace("\n", " ")
    rows = [
        {"question_id": n, "image": f"{word(n)}.png", "question": f"what is {word(n)}{more}?", "answer": word(n)}
        for n in range(ROWS)
    ]
    if rng.random() < 0.3:
        for row in rows:
            row["split"] = rng.choice(["train", "train", "val", "test"])
    if rng.random() < 0.3:
        for row in rows:
            row["answer"] = [row["answer"]] * 3
    order = rng.sample(list(rows[0]), len(rows[0]))
    return [{name: row[name] for name in order} for row in rows]


# Damage to the rows, before they are written.
def _wrong_types(rows: Rows, rng: random.Random) -> None:
    for row in rng.sample(rows, rng.randint(1, ROWS)):
        values = [None, True, 3, 4.5, float("nan"), [], {}, "", [[1]], {"a": 1}, "nan", ["x", None], "[1, 2", "\0"]
        row[rng.choice(list(row))] = rng.choice(values)


def _huge_cells(rows: Rows, rng: random.Random) -> None:
    for row in rng.sample(rows, 2):
        row[rng.choice(list(row))] = rng.choice(["x", "y ", "é", "[", '"']) * HUGE


def _missing_cells(rows: Rows, rng: random.Random) -> None:
    for row in rng.sample(rows, rng.randint(1, ROWS)):
        row.pop(rng.choice(list(row)))
        row.setdefault("question_id", 1)


def _other_columns(rows: Rows, rng: random.Random) -> None:
    old = rng.choice(list(rows[0]))
    new = rng.choice(["Question", "text", "label", "image_id", "answers", "answer_1", "x", "", " split", "id", "a,b"])
    for row in rows:
        row[new] = row.pop(old, None)


def _swapped_columns(rows: Rows, rng: random.Random) -> None:
    first, second = rng.sample(list(rows[0]), 2)
    for row in rows:
        row[first], row[second] = row.get(second), row.get(first)


def _repeated_ids(rows: Rows, rng: random.Random) -> None:
    for row in rows:
        row["question_id"] = rng.choice([1, 1.0, "1", "a", None])


IN_ROWS: Mapping[str, Callable[[Rows, random.Random], None]] = {
    "wrong types": _wrong_types,
    "huge cells": _huge_cells,
    "missing cells": _missing_cells,
    "other columns": _other_columns,
    "swapped columns": _swapped_columns,
    "repeated ids": _repeated_ids,
}


# The formats of files.
def _delimited(delimiter: str) -> Callable[[Rows, random.Random, Path], bytes]:
    def write(rows: Rows, rng: random.Random, _: Path) -> bytes:
        import pandas as pd  # only here: the benchmark writes tables as its users do

        return pd.DataFrame(rows).to_csv(index=rng.random() < 0.2, sep=delimiter).encode()

    return write


def _json(rows: Rows, rng: random.Random, _: Path) -> bytes:
    entries = ",\n".join(json.dumps(row) for row in rows)
    start, end = rng.choice([("[", "]"), ('{"questions": [', "]}"), ('{"info": {"a": [1]}, "data": [', "]}")])
    return f"{start}\n{entries}\n{end}".encode()


def _json_by_id(rows: Rows, _: random.Random, __: Path) -> bytes:
    return json.dumps({f"id{n}": row for n, row in enumerate(rows)}, indent=1).encode()


def _json_nested(rows: Rows, _: random.Random, __: Path) -> bytes:
    pictures = []
    for row in rows:
        picture = {"image": row.get("image")}
        pictures.append({**picture, "qas": [{name: cell for name, cell in row.items() if name != "image"}]})
    return json.dumps(pictures, indent=1).encode()


def _json_lines(rows: Rows, _: random.Random, __: Path) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def _parquet(rows: Rows, _: random.Random, pictures: Path) -> bytes:
    """With the pictures in it."""
    texts = [{name: None if cell is None else str(cell) for name, cell in row.items()} for row in rows]
    table = pa.Table.from_pylist(texts)
    if "image" in table.column_names:
        files = [pictures / str(row.get("image")) for row in rows]
        cells = [{"bytes": file.read_bytes() if is_file(file) else None, "path": None} for file in files]
        struct = pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
        table = table.set_column(table.column_names.index("image"), "image", struct)
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=5)
    return file.getvalue()


FORMATS: Mapping[str, Callable[[Rows, random.Random, Path], bytes]] = {
    "csv": _delimited(","),
    "csv ;": _delimited(";"),
    "tsv": _delimited("\t"),
    "json": _json,
    "json by id": _json_by_id,
    "json nested": _json_nested,
    "jsonl": _json_lines,
    "parquet": _parquet,
}


# Damage to the bytes of the file.
def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _noise(content: bytes, rng: random.Random) -> bytes:
    noisy = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        noisy[rng.randrange(len(noisy))] = rng.randrange(256)
    return bytes(noisy)


def _inserted(characters: Sequence[str]) -> Callable[[bytes, random.Random], bytes]:
    def insert(content: bytes, rng: random.Random) -> bytes:
        for _ in range(rng.randint(1, 5)):
            place = rng.randrange(len(content) + 1)
            content = content[:place] + rng.choice(characters).encode() + content[place:]
        return content

    return insert


def _deleted(characters: str) -> Callable[[bytes, random.Random], bytes]:
    def delete(content: bytes, rng: random.Random) -> bytes:
        places = [place for place, byte in enumerate(content) if chr(byte) in characters]
        gone = set(rng.sample(places, min(len(places), rng.randint(1, 3))))
        return bytes(byte for place, byte in enumerate(content) if place not in gone)

    return delete


def _other_encoding(content: bytes, rng: random.Random) -> bytes:
    encoding = rng.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1", "cp1252", "utf-32", "cp037"])
    return content.decode("latin-1").encode(encoding, errors="replace")


def _other_line_ends(content: bytes, rng: random.Random) -> bytes:
    return content.replace(b"\n", rng.choice([b"\r", b"\r\n", b"\n\n", b"\r\r\n"]))


def _shuffled_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def _lines_left_out(content: bytes, rng: random.Random) -> bytes:
    return b"\n".join(line for line in content.split(b"\n") if rng.random() < 0.9)


def _other_delimiters(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    for place in rng.sample(range(len(lines)), min(len(lines), rng.randint(1, 6))):
        lines[place] = lines[place].replace(
            rng.choice([b",", b";", b"\t"]), rng.choice([b",", b";", b"\t", b"|", b" "])
        )
    return b"\n".join(lines)


def _damaged_gzip(content: bytes, rng: random.Random) -> bytes:
    whole = gzip.compress(content)
    return rng.choice([whole, _cut(whole, rng), _noise(whole, rng)])


IN_BYTES: Mapping[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": _cut,
    "noise": _noise,
    "quotes and delimiters added": _inserted(['"', ",", ";", "\t", "'", "\\", "\n", '"",', "}", "]", "{", "["]),
    "null bytes added": _inserted(["\0"]),
    "quotes left out": _deleted('"'),
    "delimiters left out": _deleted(",;\t:"),
    "line ends left out": _deleted("\n"),
    "other encoding": _other_encoding,
    "other line ends": _other_line_ends,
    "other delimiters": _other_delimiters,
    "lines shuffled": _shuffled_lines,
    "lines left out": _lines_left_out,
    "gzip": _damaged_gzip,
}
MAY_LOSE_UNSEEN = {"cut", "lines shuffled", "lines left out", "noise", "gzip"}
"""Damage after which rows may be missing that nothing in the file tells of: what is left of it is a whole table."""


@dataclass
class Outcome:
    """What became of a damaged table.

    Attributes:
        name: its number, format and damage.
        damage: kinds of damage.
        code: exit code of the command; None after a traceback.
        pairs: number of questions that were prepared.
        faults: what is wrong with how it ended; empty if nothing.
    """

    name: str
    damage: Sequence[str]
    code: int | None = None
    pairs: int = 0
    faults: list[str] = field(default_factory=list)


def damaged_table(seed: int, folder: Path, pictures: Path) -> tuple[Path, str, list[str]]:
    """Writes a table with one to three kinds of damage; returns its file, its format and the damage."""
    rng = random.Random(seed)
    kind = rng.choice(list(FORMATS))
    damage = rng.sample([*IN_ROWS, *IN_BYTES], rng.choice([1, 1, 2, 3]))
    rows = _rows(rng, several_lines=not {"lines left out", "lines shuffled"}.intersection(damage))
    for name in damage:
        if name in IN_ROWS:
            IN_ROWS[name](rows, rng)
    content = FORMATS[kind](rows, rng, pictures)
    for name in sorted(damage, key=lambda name: name == "gzip"):
        if name in IN_BYTES and content:
            content = IN_BYTES[name](content, rng)
    path = folder / f"table.{rng.choice([kind.split()[0]] * 5 + ['csv', 'json', 'txt', 'dat'])}"
    path.write_bytes(content)
    return path, kind, damage


def try_table(seed: int, pictures: Path) -> Outcome:
    """Damages a table, prepares it, and checks how that ends."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path, kind, damage = damaged_table(seed, folder, pictures)
        outcome = Outcome(f"{seed} {kind}: {', '.join(damage)}", damage)
        allow = ["--allow-loss", "0.99"] if seed % 2 else []
        arguments = ["table", path, "--images", pictures, "--out", folder / "out", *allow]
        outcome.code, printed = _run([*arguments, "--encoder", "small-cnn", "--image-size", "16"])
        if outcome.code == 0:
            _check_pairs(PreparedData.open(folder / "out"), pictures, outcome)
        elif outcome.code == 2:
            _check_message(printed, outcome)
        else:
            outcome.faults.append(printed[-2000:])
    return outcome


def _run(arguments: Sequence[object]) -> tuple[int | None, str]:
    """Runs the command in this process."""
    printed, before = io.StringIO(), sys.argv
    sys.argv = ["san_core.prepare", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            run_command(prepare.main)
    except SystemExit as ended:
        return (ended.code if isinstance(ended.code, int) else None), printed.getvalue()
    except Exception:  # noqa: BLE001 - whatever it is, it is what this looks for
        return None, traceback.format_exc()
    finally:
        sys.argv = before


def _check_message(printed: str, outcome: Outcome) -> None:
    last = printed.rstrip("\n").rpartition("\n")[2]
    if not last.startswith("error: ") or printed.count("error: ") != 1 or "Traceback" in printed:
        outcome.faults.append(f"not one line: {printed[-500:]!r}")
    if len(last) > 2000:
        outcome.faults.append(f"a line of {len(last):,} characters")


def _check_pairs(data: PreparedData, pictures: Path, outcome: Outcome) -> None:
    """Checks that question, answers and picture of each prepared question are of one row, and that losses are told."""
    by_content = {path.read_bytes(): path.name for path in pictures.iterdir()}
    rows: set[int] = set()
    for split in data.splits:
        for question in data.questions_of(split):
            picture = by_content.get(Path(data.image_files[question.image]).read_bytes(), "damaged")
            found = _WORD.findall(" ".join([question.text, picture, question.answer, *question.answers]))
            numbers = {WORDS[name] for name in found if name in WORDS}
            outcome.pairs += 1
            rows |= numbers
            if picture == INNER:
                outcome.faults.append(f"a pair of a line inside of a cell: {question}")
            if len(numbers) > 1:
                outcome.faults.append(f"a pair of {len(numbers)} rows: {question} {picture}")
    told = data.manifest["problems"] or data.manifest["notes"]
    if len(rows) < ROWS and not told and not MAY_LOSE_UNSEEN.intersection(outcome.damage):
        outcome.faults.append(f"{ROWS - len(rows)} rows are lost, and nothing says so")


def paint_pictures(folder: Path) -> Path:
    """A picture for each row and one that no row has, each unlike the others."""
    folder.mkdir()
    for index, name in enumerate([*(f"{name}.png" for name in WORDS), INNER]):
        pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Damages tables and prints how their preparation ended; 1 if one of them ended in a way that is none."""
    parser = CommandLine("benchmarks.damaged_tables", "Prepares tables that are damaged at random.")
    parser.add_argument("--tables", type=number(int, at_least=1), default=2000, metavar="N", help="number of tables")
    parser.add_argument("--first", type=number(int, at_least=0), default=0, metavar="SEED", help="seed of the first")
    add_output_options(parser)
    options: argparse.Namespace = parser.parse_args(arguments)
    place, started = Path(tempfile.mkdtemp()), time.monotonic()
    try:
        pictures = paint_pictures(place / "pictures")
        outcomes = [try_table(seed, pictures) for seed in range(options.first, options.first + options.tables)]
    finally:
        shutil.rmtree(place)
    faulty = [outcome for outcome in outcomes if outcome.faults]
    rows = [_count(name, [o for o in outcomes if name in o.damage]) for name in (*IN_ROWS, *IN_BYTES)]
    rows.append(_count("all", outcomes))
    table = Table(title=f"{len(outcomes):,} damaged tables, {time.monotonic() - started:.0f} s")
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading == "damage" else "right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    output_results(options, rows, [table])
    for outcome in faulty:
        print(f"{outcome.name}\n  {outcome.faults[0]}")
    return 1 if faulty else 0


def _count(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    codes = Counter(outcome.code for outcome in outcomes)
    return {
        "damage": name,
        "tables": len(outcomes),
        "prepared": codes[0],
        "refused in one line": codes[2],
        "pairs": sum(outcome.pairs for outcome in outcomes),
        "faults": sum(bool(outcome.faults) for outcome in outcomes),
    }


if __name__ == "__main__":
    run_command(main)
