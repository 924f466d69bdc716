import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from san_core.data.problems import Problems
from san_core.data.tables.columns import find_columns
from san_core.data.tables.embedded_pictures import PictureFolder
from san_core.data.tables.records import Rows, read_rows
from san_core.errors import InputError
from tests.san_core.data_sets import flaws

ROWS: Sequence[Mapping[str, Any]] = [
    {"id": 1, "question": "what is it?", "image": "4.jpg", "answer": "cup"},
    {"id": 2, "question": 'what says "stop", or\nso?', "image": "5.jpg", "answer": "sign; red"},
]
TEXTS = [{name: str(cell) for name, cell in row.items()} for row in ROWS]


def _read(path: Path, content: str | bytes, problems: Problems | None = None) -> Rows:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_rows(path, problems or Problems())


def _delimited(delimiter: str) -> str:
    """As pandas and spreadsheets write it: cells in quotes, quotes doubled."""
    lines = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
    return "\r\n".join(delimiter.join('"{}"'.format(str(c).replace('"', '""')) for c in line) for line in lines)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters_and_encodings_are_found(delimiter: str, encoding: str, tmp_path: Path) -> None:
    rows = _read(tmp_path / "table", _delimited(delimiter).encode(encoding))
    assert list(rows.rows) == TEXTS
    assert [rows.where(index) for index in range(2)] == [f"{tmp_path / 'table'} line {n}" for n in (2, 3)]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps({"info": {"version": 1}, "tags": ["a"], "data": ROWS}),
        "".join(f"{json.dumps(row)}\n" for row in ROWS),
        json.dumps({"train": ROWS[:1], "val": ROWS[1:]}),
    ],
    ids=["list", "one list inside", "lines", "a list for each split"],
)
@pytest.mark.parametrize("name", ["table.json", "table.txt"])
def test_layouts_of_json(content: str, name: str, tmp_path: Path) -> None:
    rows = _read(tmp_path / name, content)
    assert [{key: row[key] for key in ROWS[0]} for row in rows.rows] == ROWS
    assert [row.get("split") for row in rows.rows] in ([None, None], ["train", "val"])


def test_json_keyed_by_id_keeps_the_key(tmp_path: Path) -> None:
    rows = _read(tmp_path / "t.json", json.dumps({"q7": ROWS[0], "q9": ROWS[1]}))
    assert [row["(key)"] for row in rows.rows] == ["q7", "q9"]
    assert rows.where(1, "answer") == f"{tmp_path / 't.json'} entry q9 column answer"


@pytest.mark.parametrize(
    "content",
    [
        [{"id": 4, "qas": [{"question": "a", "answer": "b"}, {"question": "c", "answer": "d"}]}],
        {"images": [{"image_id": 4, "qas": [{"question": "a", "answer": "b"}, {"question": "c", "answer": "d"}]}]},
    ],
)
def test_questions_nested_in_pictures_have_the_picture(content: object, tmp_path: Path) -> None:
    rows = _read(tmp_path / "t.json", json.dumps(content))
    expected = [
        {"image_id": 4, "question": "a", "answer": "b"},
        {"image_id": 4, "question": "c", "answer": "d"},
    ]
    assert list(rows.rows) == expected


def test_a_picture_without_questions_has_no_rows(tmp_path: Path) -> None:
    problems = Problems()
    content = [{"id": 1, "qas": [{"question": "a"}]}, {"id": 2, "qas": []}, {"id": 3, "qas": [{"question": "b"}]}]
    rows = _read(tmp_path / "t.json", json.dumps(content), problems)
    assert [row["question"] for row in rows.rows] == ["a", "b"]
    assert problems.found == []


@pytest.mark.parametrize(
    "content",
    [
        {name: {str(i): row[name] for i, row in enumerate(ROWS)} for name in ROWS[0]},  # as pandas writes it
        {name: [row[name] for row in ROWS] for name in ROWS[0]},
        {"info": {"a": 1}, "licenses": [{"id": 1, "url": "x"}], "questions": ROWS},
    ],
    ids=["objects", "lists", "licences"],
)
def test_columns_of_json_and_lists_of_other_things(content: object, tmp_path: Path) -> None:
    assert list(_read(tmp_path / "t.json", json.dumps(content)).rows) == ROWS


def test_columns_of_unequal_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 questions, but 1 of 'answer'"):
        _read(tmp_path / "t.json", '{"question": ["a", "b"], "answer": ["c"]}')
    with pytest.raises(InputError, match="not the same rows"):
        _read(tmp_path / "t.json", '{"question": {"1": "a", "2": "b"}, "answer": {"2": "c", "3": "d"}}')


def test_pictures_in_parquet_are_written_once_each(tmp_path: Path) -> None:
    cells = [{"bytes": b"\x89PNG one", "path": "x.png"}, {"bytes": b"\xff\xd8\xff two", "path": None}]
    cells = [*cells, cells[0], {"bytes": None, "path": "there.jpg"}]
    table = pa.table({"image": pa.array(cells), "question": ["a", "b", "c", "d"]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    rows = read_rows(tmp_path / "t.parquet", Problems(), PictureFolder(tmp_path / "pictures"))
    one, two, again, named = (row["image"] for row in rows.rows)
    assert (one, named) == (again, "there.jpg")
    assert (one.suffix, one.read_bytes(), two.suffix, two.read_bytes()) == (
        ".png",
        b"\x89PNG one",
        ".jpg",
        b"\xff\xd8\xff two",
    )
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_a_picture_that_a_power_cut_damaged_is_written_again(tmp_path: Path) -> None:
    pictures = PictureFolder(tmp_path / "pictures")
    path = pictures.write(b"\x89PNG one")
    path.write_bytes(bytes(path.stat().st_size))
    assert pictures.write(b"\x89PNG one").read_bytes() == b"\x89PNG one"


def test_only_pictures_of_the_pictures_column_are_written_and_texts_in_bytes_are_texts(tmp_path: Path) -> None:
    png, mask = b"\x89PNG one", b"\x89PNG mask"
    table = pa.table({"image": [png], "mask": [mask], "question": ["BMs, ça?".encode()], "answer": [date(2020, 1, 2)]})
    pq.write_table(table, tmp_path / "t.parquet")
    pictures = PictureFolder(tmp_path / "pictures")
    (row,) = read_rows(tmp_path / "t.parquet", Problems(), pictures).rows
    assert (row["image"].read_bytes(), row["mask"], row["question"], row["answer"]) == (
        png,
        None,
        "BMs, ça?",
        "2020-01-02",
    )
    assert len(list((tmp_path / "pictures").iterdir())) == 1
    (row,) = read_rows(tmp_path / "t.parquet", Problems(), pictures, ["Mask"]).rows
    assert (row["image"], row["mask"].read_bytes()) == (None, mask)


@pytest.mark.parametrize("name", ["image", "images"])
def test_a_list_of_one_picture_is_the_picture(name: str, tmp_path: Path) -> None:
    rows = _read(tmp_path / "t.json", json.dumps([{"question": "a", name: ["4.jpg"]}]))
    assert find_columns(rows).image == name
    assert rows.rows[0][name] == "4.jpg"
    pq.write_table(pa.table({name: [[{"bytes": b"\x89PNG one"}]], "question": ["a"]}), tmp_path / "t.parquet")
    (row,) = read_rows(tmp_path / "t.parquet", Problems(), PictureFolder(tmp_path / "pictures")).rows
    assert row[name].read_bytes() == b"\x89PNG one"


def test_labels_of_hugging_face_have_their_names(tmp_path: Path) -> None:
    kind = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    features = {"label": kind, "answers": {"feature": kind, "_type": "Sequence"}, "id": {"dtype": "int64"}}
    table = pa.table({"label": [1, 0, -1], "answers": [[0, 1], [], None], "id": [1, 0, 1]})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "t.parquet")
    rows = read_rows(tmp_path / "t.parquet", Problems()).rows
    assert [row["label"] for row in rows] == ["dog", "cat", None]
    assert [row["answers"] for row in rows] == [["cat", "dog"], [], None]
    assert [row["id"] for row in rows] == [1, 0, 1]


@pytest.mark.parametrize("content", [json.dumps(ROWS), _delimited(",")])
def test_gzip_is_read(content: str, tmp_path: Path) -> None:
    found = _read(tmp_path / "t.gz", gzip.compress(content.encode())).rows
    assert [row["answer"] for row in found] == ["cup", "sign; red"]


def test_a_cell_of_any_length_is_read_and_the_programs_limit_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit(1000)
    try:
        rows = _read(tmp_path / "t.csv", f"question,answer\na,{'b' * 200_000}\n")
        assert len(rows.rows[0]["answer"]) == 200_000
        assert csv.field_size_limit() == 1000
    finally:
        csv.field_size_limit(before)


def test_words_for_nothing_stay_in_csv_and_empty_cells_are_none(tmp_path: Path) -> None:
    rows = _read(tmp_path / "t.csv", "id,answer,question\n007,None,NA\n08, ,nan\n\n")
    assert list(rows.rows) == [
        {"id": "007", "answer": "None", "question": "NA"},
        {"id": "08", "answer": None, "question": "nan"},
    ]


def test_tabs_may_have_lone_quotes(tmp_path: Path) -> None:
    rows = _read(tmp_path / "t.tsv", 'question\tanswer\n"stop" sign?\tyes\n5" wide?\tno\n')
    assert [row["question"] for row in rows.rows] == ['"stop" sign?', '5" wide?']


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (['1,"a,4.jpg,x', "2,b,5.jpg,y", '3,"c",6.jpg,z'], ["b", "c"]),  # a quote that is not closed
        (['1,"a,4.jpg,x', '2,b",5.jpg,y', "3,c,6.jpg,z"], ["c"]),  # and one that was not opened
        (["1,a,4.jpg", "2,b,5.jpg,y"], ["b"]),
        (["1,a,4.jpg,x,more", "2,b,5.jpg,y,,"], ["b"]),
        (["1,a,4.jpg,\0x", "2,b,5.jpg,y"], ["b"]),
        (['1,a,4.jpg,"x', "2,b,5.jpg,y"], ["b"]),
        # a line end is missing before a cell of two lines
        (['1,a,4.jpg,x"2', 'b",5.jpg,y,z', '3,"c, d",6.jpg,z'], ["c, d"]),
        # the same, where lines of the cell look like rows
        (['1,a,4.jpg,x"2', "b,b,5.jpg,y", 'b",5.jpg,y,z,more', '3,"c, d",6.jpg,z'], ["c, d"]),
        # a quote behind a cell of several lines
        (['1,"which,of', "2,b,5.jpg,y", 'c"?,6.jpg,z', '3,"c, d",6.jpg,z'], ["c, d"]),
    ],
)
def test_a_damaged_line_costs_itself_and_mixes_no_rows(lines: list[str], kept: list[str], tmp_path: Path) -> None:
    problems = Problems(allowed_loss=0.9)
    rows = _read(tmp_path / "t.csv", "\n".join(["id,question,image,answer", *lines, ""]), problems)
    assert [row["question"] for row in rows.rows] == kept
    assert sum(problem.lost for problem in problems.found) == len(lines) - len(kept)
    assert flaws(problems)[0].startswith(f"{tmp_path / 't.csv'} line 2: row of the table cannot be read, left out (")


def test_a_file_cut_off_inside_of_a_cell_of_several_lines_has_no_row_of_its_last_line(tmp_path: Path) -> None:
    problems = Problems(allowed_loss=0.9)
    text = 'id,question,image,answer\n1,"is, it?",4.jpg,x\n2,"which,of\nthis,table?,5.jpg,y\nor,that,6.jpg,n'
    rows = _read(tmp_path / "t.csv", text, problems)
    assert [row["question"] for row in rows.rows] == ["is, it?"]
    assert [problem.lost for problem in problems.found] == [3]


def test_lone_quotes_inside_of_cells_stay(tmp_path: Path) -> None:
    problems = Problems()
    rows = _read(tmp_path / "t.csv", 'question,answer\na 5" one?,yes\n"b",no\nc 7" one?,no\n', problems)
    assert [row["question"] for row in rows.rows] == ['a 5" one?', "b", 'c 7" one?']
    assert problems.found == []


def test_a_cell_of_several_lines_may_hold_lines_that_look_like_rows(tmp_path: Path) -> None:
    problems = Problems()
    question = "which row,of this table,is there?\n1,x,2\n3,y,5\n7,z,6"
    rows = _read(tmp_path / "t.csv", f'image,question,answer\n4,"{question}",the first\n5,b,c\n', problems)
    assert [row["question"] for row in rows.rows] == [question, "b"]
    assert problems.found == []


@pytest.mark.parametrize(
    "lines",
    [
        ['how long?,1,5"', 'how wide?,2,12"', 'x,3,7"', "y,4,z"],
        ['how long is the 5" pipe,1,a', 'how wide,2,7"', 'x "yes" or "no"?,3,c', '"quoted" word first?,4,z'],
        ['how long?,1,5"', '"quoted" word first?,4,z', "a row with too few cells", "y,4,z"],
    ],
)
def test_quotes_written_by_hand_cost_no_row(lines: list[str], tmp_path: Path) -> None:
    rows = _read(tmp_path / "t.csv", "\n".join(["question,image,answer", *lines]), Problems(allowed_loss=0.9))
    assert [",".join(row.values()) for row in rows.rows] == [line for line in lines if "," in line]


def test_json_that_is_cut_off_is_refused_with_the_place(tmp_path: Path) -> None:
    content = json.dumps(list(ROWS) * 10)
    problems = Problems()
    rows = _read(tmp_path / "t.json", content[: len(content) // 3], problems)
    assert len(rows.rows) == 6
    with pytest.raises(InputError, match=r"at least \d+ of \d+ .*not JSON from here on.* line 1 column"):
        problems.check_losses()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty; accepted: JSON, JSON lines, CSV, TSV or Parquet"),
        (b"PK\x03\x04 a sheet", "is a spreadsheet or ZIP archive; save the sheet as CSV"),
        (b"\x80\x04 rows", "is a Python pickle, which can run code"),
        (b"PAR1 and more", "row 1: a damaged Parquet file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], "is compressed by gzip, but damaged"),
        (b"\x00\x01\x02\x03", "is neither a text file nor Parquet"),
        (b"one column\nonly\n", "line 1: neither JSON nor columns; accepted: JSON, or a first line that names"),
        (b"question,answer\n", "has no rows that can be read"),
        (b'[{"a": 1}', "line 1 column 10|would be left out"),
        (b'{"questions": [{"question": "a"}], "images": [{"id": 1}]}', "several lists: 'questions': a list, 'images'"),
        (b'{"a": 1, "b": {"c": 2}}', "has no list of objects, but 'a': a number, 'b': an object; accepted: a list of"),
        (b"[" * 100_000, "cannot be read|not JSON"),
        (b'{"7": {"question": "a"}, "7": {"question": "b"}}', "has twice: 7"),
    ],
)
def test_what_is_no_table_ends_in_one_line(content: bytes, told: str, tmp_path: Path) -> None:
    problems = Problems()
    with pytest.raises(InputError, match=told) as error:  # noqa: PT012
        _read(tmp_path / "t.csv", content, problems)
        problems.check_losses()
        raise InputError("line 1 column 10")
    assert "\n" not in str(error.value)


def test_entries_that_are_no_objects_are_lost(tmp_path: Path) -> None:
    problems = Problems()
    _read(tmp_path / "t.json", '[{"question": "a"}, 5, {"question": "b", "question": "c"}]', problems)
    assert flaws(problems) == [
        f"{tmp_path / 't.json'} entry 2: entry cannot be read, left out (a number in place of an object)",
        f"{tmp_path / 't.json'} entry 3: entry cannot be read, left out (it has question twice)",
    ]


@pytest.mark.parametrize(
    "content",
    [
        "question,answer\na,b\n\nc,d,e\nf,g\n",
        '[{"question": "a"}, 5, {"question": "f"}]',
        '{"question": "a"}\n\n{"question": \n{"question": "f"}\n',
        '[{"image": 1, "qas": [{"question": "a"}, 5, {"question": "f"}]}]',
    ],
    ids=["csv", "json", "json lines", "nested json"],
)
def test_rows_that_are_left_out_are_counted_in_the_numbers_of_the_others(content: str, tmp_path: Path) -> None:
    rows = _read(tmp_path / "table", content, Problems(allowed_loss=0.9))
    assert [row["question"] for row in rows.rows] == ["a", "f"]
    assert list(rows.numbers) == [1, 3]


def test_json_lines_may_end_in_commas(tmp_path: Path) -> None:
    problems = Problems()
    rows = _read(tmp_path / "t.json", "".join(f"{json.dumps(row)},\n" for row in ROWS), problems)
    assert list(rows.rows) == ROWS
    assert problems.found == []
