import random
from pathlib import Path

import pytest

from benchmarks import damaged_tables
from benchmarks.damaged_tables import main, paint_pictures, try_table


def test_damaged_tables_end_well_or_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tables", "40", "--first", "7000", "--json"]) == 0, capsys.readouterr().out
    assert '"damage": "all", "tables": 40' in capsys.readouterr().out


def test_a_wrong_pair_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = paint_pictures(tmp_path / "pictures")
    rows = damaged_tables._rows

    def shift_answers(rng: random.Random, *, several_lines: bool) -> damaged_tables.Rows:
        shifted = rows(rng, several_lines=several_lines)
        answers = [row["answer"] for row in shifted]
        for row, answer in zip(shifted, answers[1:] + answers[:1], strict=True):
            row["answer"] = answer
        return shifted

    monkeypatch.setattr(damaged_tables, "_rows", shift_answers)
    outcomes = [try_table(seed, pictures) for seed in range(12)]
    prepared = [outcome for outcome in outcomes if outcome.code == 0 and outcome.pairs]
    prepared = [outcome for outcome in prepared if "swapped columns" not in outcome.damage]
    assert prepared
    assert all("a pair of 2 rows" in outcome.faults[0] for outcome in prepared)
