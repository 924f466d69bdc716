import json
import re
from pathlib import Path

import pytest

from san_core.data.problems import Problems
from san_core.data.text_files import RepeatedKeys, read_lines, read_records, read_text
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


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [(TEXT + "5\u20ac \u201cyes\u201d", "cp1252", "Windows-1252"), (TEXT + "\x81", "latin-1", "Latin-1")],
)
def test_text_of_one_byte_letters_is_read_and_told_with_its_line(
    text: str, encoding: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"plain\n" + text.encode(encoding))
    problems = Problems()
    assert read_text(path, problems) == "plain\n" + text
    assert flaws(problems) == [f"{path} line 2: not UTF-8, read as {name} (byte 0xf9)"]
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        read_text(path, Problems(strict=True))


def test_one_damaged_byte_does_not_spoil_all_other_letters(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("où est là\nça".encode() + b"\xff?")
    problems = Problems()
    assert read_text(path, problems) == "où est là\nça\ufffd?"
    assert flaws(problems) == [f"{path} line 2: not UTF-8 in places, U+FFFD replaces what is not (byte 0xff; 1 such)"]


def test_utf_16_cut_within_a_character_keeps_what_stands_before(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode("utf-16")[:-1])
    problems = Problems()
    assert read_text(path, problems) == TEXT[:-1] + "\ufffd"
    (told,) = flaws(problems)
    assert told.startswith(f"{path} byte {2 * len(TEXT)}: not UTF-16")


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b" one \r\n\r\n\ttwo", ["one", "", "two"]),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\n\n \n", ["one", "", ""]),
        (b"one\rtwo\r", ["one", "two"]),
        (b"one\r\r\ntwo\r\r\n", ["one", "two"]),
        ("one\u2028still one\x0b\x85\ntwo".encode(), ["one\u2028still one", "two"]),
    ],
)
def test_lines_end_as_on_any_system_and_lose_blanks_around_them(
    content: bytes, lines: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert read_lines(path, Problems()) == lines


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
        ("7", 'has no list of questions, but a JSON int; accepted: {"questions": [...]} or [...]'),
        ("{}", "has no list of questions, but an empty object; accepted"),
        ('{"a": 1, "questions": {"id": 1}}', "has no list of questions, but the keys a, questions; accepted"),
        ('{"questions": null}', "has no list of questions"),
        ('{"questions": [{"id": 1}], "questions": [{"id": 2}]}', "has two lists of questions; accepted: one"),
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


def _damaged(rest: str, tmp_path: Path, allowed_loss: float | None = None) -> Problems:
    """What is found in a list whose third entry is followed by something else."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"question_id": number} for number in range(3)])[:-1] + rest)
    problems = Problems(allowed_loss=allowed_loss)
    assert len(read_records(path, "questions", problems)) == 3
    return problems


@pytest.mark.parametrize(
    ("rest", "counts"),
    [
        ("", "at least 1 of 4 entries"),
        (', {"question_id": 3, "qu', "at least 1 of 4 entries"),
        (', oops, {"question_id": 4}, {"question_id": 5}]', "at least 2 of 5 entries"),
        ('] [{"question_id": 4}]', "at least 1 of 4 entries"),
    ],
    ids=["between two entries", "within an entry", "in the middle", "two lists"],
)
def test_what_is_lost_of_a_damaged_file_is_refused_unless_a_share_is_allowed(
    rest: str, counts: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(f"{counts} of {tmp_path / 'a.json'} (")) as raised:
        _damaged(rest, tmp_path).check_losses()
    assert "would be left out: " in str(raised.value)
    assert "not JSON from here on, what stands before is used: line 1 column " in str(raised.value)
    _damaged(rest, tmp_path, 0.5).check_losses()
    with pytest.raises(InputError, match="at least 4 of 7 entries"):
        _damaged(', oops, {"question_id": 4}' + ', {"question_id": 5}' * 3, tmp_path, 0.5).check_losses()


@pytest.mark.parametrize("rest", ["] and more", "]}", ",]", ',, ], "license": {"name'])
def test_damage_behind_the_list_costs_nothing(rest: str, tmp_path: Path) -> None:
    problems = _damaged(rest, tmp_path)
    problems.check_losses()
    assert len(problems.found) == 1


def test_object_with_a_key_twice_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1, "b": 2}, {"a": 1, "b": 2, "a": 3}, {"c": {"a": 1, "a": 1}}]')
    records = read_records(path, "questions", Problems())
    assert [isinstance(record, RepeatedKeys) for record in records] == [False, True, False]
    assert records[1].repeated == ["a"]
