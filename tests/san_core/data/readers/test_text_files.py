import json
import re
from pathlib import Path

import pytest

from san_core.data.problems import Problems
from san_core.data.readers.text_files import read_id, read_lines, read_records, read_text
from san_core.errors import InputError
from tests.san_core.data_sets import flaws

TEXT = "où est le chat ?\nnaïve\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_as_it_is(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode(encoding))
    problems = Problems(strict=True)
    assert read_text(path, problems) == TEXT


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_either_order_of_bytes_is_read(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(("\ufeff" + TEXT).encode(encoding))
    assert read_text(path, Problems(strict=True)) == TEXT


def test_latin_1_is_read_and_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"plain\n" + TEXT.encode("latin-1"))
    problems = Problems()
    assert read_text(path, problems) == "plain\n" + TEXT
    assert flaws(problems) == [f"{path} line 2: not UTF-8, read as Latin-1 (byte 0xf9)"]
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        read_text(path, Problems(strict=True))


def test_utf_16_cut_within_a_character_keeps_what_stands_before(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode("utf-16")[:-1])
    problems = Problems()
    assert read_text(path, problems) == TEXT[:-1] + "\ufffd"
    (told,) = flaws(problems)
    assert told.startswith(f"{path} byte {2 * len(TEXT)}: not UTF-16")


def test_lines_lose_blanks_around_them_and_empty_ones_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b" one \r\n\r\n\ttwo\r\n \r\n\r\n")
    assert read_lines(path, Problems()) == ["one", "", "two"]


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_empty_file_has_no_lines(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert read_lines(path, Problems()) == []


RECORDS = [{"id": 1, "text": "a, [b] {c}"}, {"id": 2, "text": 'questions": ['}, {"id": 3, "text": "déjà"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_records_of_a_sound_file_are_all_read(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps({"info": {}, "questions": RECORDS}, ensure_ascii=False).encode(encoding))
    assert read_records(path, "questions", Problems(strict=True)) == RECORDS


def _lines(*records: str) -> str:
    return '{"questions": [\n' + ",\n".join(records) + "\n]}"


WHOLE = [json.dumps(record) for record in RECORDS]


@pytest.mark.parametrize(
    ("text", "kept", "place"),
    [
        (_lines(*WHOLE)[:-20], 2, "line 4"),
        (_lines(*WHOLE)[:-2], 3, "line 5"),
        (_lines(WHOLE[0], '{"id": 2, "text": oops}', WHOLE[2]), 1, "line 3"),
        (_lines(WHOLE[0], WHOLE[1]) + " and more", 2, "line 4"),
        (_lines(*WHOLE).replace(",\n", ",,\n", 1), 3, "line 2"),
    ],
    ids=["within a record", "after the last", "malformed record", "something behind", "two commas"],
)
def test_of_a_damaged_file_what_stands_before_is_used(text: str, kept: int, place: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    problems = Problems()
    assert read_records(path, "questions", problems) == RECORDS[:kept]
    (told,) = flaws(problems)
    assert told.startswith(f"{path} {place} column ")
    assert "not JSON from here on, what stands before is used (" in told
    assert told.endswith(f"; {kept} questions)")
    with pytest.raises(InputError, match=f"{place} column .* not JSON from here on"):
        read_records(path, "questions", Problems(strict=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 column 1: not JSON"),
        ("questions", "line 1 column 1: not JSON"),
        ('{"questions": [{"id": 1', "line 1 column 24: not JSON"),
        ('[{"id": 1', "line 1 column 10: not JSON"),
        ("7", 'has no list of questions; accepted: {"questions": [...]} or [...]'),
        ("{}", "has no list of questions"),
        ('{"questions": {"id": 1}}', "has no list of questions"),
        ('{"questions": null}', "has no list of questions"),
        ("[" * 100_000, "cannot be read: "),
        ('{"questions": [' + "1" * 5000 + "]}", "cannot be read: "),
    ],
)
def test_file_without_records_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        read_records(path, "questions", Problems())
    assert str(raised.value).startswith(str(path))


def test_bare_list_is_read_as_well_cut_short_or_not(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    text = " \n[" + ", ".join(WHOLE) + "]"
    path.write_text(text)
    assert read_records(path, "questions", Problems(strict=True)) == RECORDS
    path.write_text(text[:-5])
    problems = Problems()
    assert read_records(path, "questions", problems) == RECORDS[:2]
    assert [problem.kind for problem in problems.found] == ["not JSON from here on, what stands before is used"]


@pytest.mark.parametrize("value", [1, -3, "a", "1"])
def test_id_is_a_whole_number_or_a_text(value: int | str) -> None:
    assert read_id(value) == value


@pytest.mark.parametrize("value", [True, False, 1.0, "", None, [], {}])
def test_anything_else_is_no_id(value: object) -> None:
    assert read_id(value) is None


@pytest.mark.parametrize(
    ("escaped", "text", "halves"),
    [
        (r"\ud83d\ude00 \u00e9", "\U0001f600 é", 0),
        (r"cut \ud83d", "cut \ufffd", 1),
        (r"\ude00\uD83D turned round", "\ufffd\ufffd turned round", 2),
        (r"\\ud83d", r"\ud83d", 0),
        (r"\\\ud83d", "\\\ufffd", 1),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600", 1),
    ],
)
def test_half_a_character_becomes_one_that_can_be_written(escaped: str, text: str, halves: int, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"questions":\n[{{"text": "{escaped}"}}]}}')
    problems = Problems()
    assert read_records(path, "questions", problems) == [{"text": text}]
    told = [f"{path} line 2: half a character, U+FFFD replaces it ({halves} such)"] if halves else []
    assert flaws(problems) == told


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'none'} does not exist")):
        read_records(tmp_path / "none", "questions", Problems())


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path} cannot be read: ")):
        read_lines(tmp_path, Problems())
