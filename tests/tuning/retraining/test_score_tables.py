"""Scores of several trainings as people read them."""

import pytest

from san_core.evaluation import Score
from tuning.retraining.score_tables import as_records, by_type, overall, print_scores, spread

TRAININGS = [("best", 4, 7, 1), ("baseline", 0, 8, 1), ("best", 4, 7, 1), ("baseline", 0, 8, 1)]


def _scores(mean: float) -> list[Score]:
    return [
        Score("accuracy", "all", "", 1500, mean),
        Score("accuracy", "answer type", "number", 1000, mean / 2),
        Score("accuracy", "answer type", "colour", 500, mean),
    ]


def test_mean_and_spread_over_seeds_of_each_configuration() -> None:
    table = overall(spread(TRAININGS, [_scores(mean) for mean in (0.8, 0.5, 0.9, 0.6)]))
    first, second = table.to_dict("records")
    shown = {"metric": "accuracy", "seeds": "2", "s.d.*": "7.07"}  # |0.9 - 0.8| / sqrt(2)
    assert first == {"": "best", "trial": "4", "epochs": "7", "mean": "85.00 %", **shown} | {
        "lowest": "80.00 %",
        "highest": "90.00 %",
    }
    assert (second[""], second["mean"], second["s.d.*"]) == ("baseline", "55.00 %", "7.07")


def test_types_have_their_own_spread_beside_the_baseline() -> None:
    tables = by_type(spread(TRAININGS, [_scores(mean) for mean in (0.8, 0.5, 0.9, 0.6)]))
    assert list(tables) == ["answer type"]
    assert tables["answer type"].to_dict("records") == [
        {
            "metric": "accuracy",
            "answer type": "number",
            "questions": "1,000",
            "best": "42.50 ± 3.54 %",
            "baseline": "27.50 ± 3.54 %",
        },
        {
            "metric": "accuracy",
            "answer type": "colour",
            "questions": "500",
            "best": "85.00 ± 7.07 %",
            "baseline": "55.00 ± 7.07 %",
        },
    ]


def test_one_seed_has_no_spread() -> None:
    table = spread(TRAININGS[:1], [_scores(0.8)])
    assert overall(table)["s.d.*"].tolist() == ["–"]
    assert by_type(table)["answer type"]["best"].tolist() == ["40.00 %", "80.00 %"]
    assert as_records(table)[0]["std"] is None


def test_many_types_are_left_to_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    few, many = ([Score("accuracy", "question type", f"type {n}", 9, 0.5) for n in range(count)] for count in (12, 13))
    for types, shown in ((few, True), (many, False)):
        print_scores(spread(TRAININGS[:1], [[*_scores(0.8), *types]]))
        assert ("type 3" in capsys.readouterr().out) is shown


def test_an_ensemble_has_a_row_and_a_column_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """The rows of single networks are as without it, and no spread is made up for it."""
    means = (0.8, 0.5, 0.9, 0.6)
    alone = spread(TRAININGS, [_scores(mean) for mean in means])
    tested = [*TRAININGS, ("best, ensemble of 2", 4, 7, 2)]
    table = spread(tested, [_scores(mean) for mean in (*means, 0.95)])
    assert as_records(table)[: len(alone)] == as_records(alone)
    assert overall(table).iloc[:2].equals(overall(alone))
    shown = overall(table).iloc[2].to_dict()
    assert (shown[""], shown["seeds"], shown["mean"]) == ("best, ensemble of 2", "2", "95.00 %")
    assert {shown[column] for column in ("s.d.*", "lowest", "highest")} == {"–"}
    number, _ = by_type(table)["answer type"].to_dict("records")
    assert (number["best"], number["best, ensemble of 2"]) == ("42.50 ± 3.54 %", "47.50 %")
    record = next(row for row in as_records(table) if row["networks"] == 2)
    assert (record["values"], record["std"], record["seeds"]) == ([0.95], None, 2)

    print_scores(alone)
    assert "ensemble" not in capsys.readouterr().out
    print_scores(table)
    assert "compare it with another ensemble, not with a single network." in capsys.readouterr().out
