import json
import sys

import pytest

from benchmarks.growth.__main__ import main, rows

COSTS = [(0, 5.0, 100.0, 700.0), (50, 6.0, 102.0, 701.0), (100, 6.5, 103.0, 702.0), (150, 7.5, 105.0, 703.0)]
"""A search that was stopped after its 150th trial."""


def test_the_cost_is_that_of_the_second_half_of_the_trials_and_of_those_that_ended() -> None:
    found = list(rows(COSTS, [100, 1000]))
    assert [row["trials"] for row in found] == [100, 150]
    assert [row["CPU ms"] for row in found] == pytest.approx([10, 15])
    assert [row["wall ms"] for row in found] == pytest.approx([20, 30])
    assert [row["memory MiB"] for row in found] == [702.0, 703.0]


def test_a_search_that_did_not_start_has_no_costs() -> None:
    assert list(rows([], [100])) == []


@pytest.mark.long
@pytest.mark.rare
def test_both_engines_run_on_a_simulated_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["growth"])
    assert main(["--trials", "100", "--nodes", "7", "--points", "50", "--seconds", "1800", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["engine"], row["nodes"], row["trials"]) for row in found] == [
        (engine, 7, trials) for engine in ("here", "stock") for trials in (50, 100)
    ]
    assert all(row["CPU ms"] > 0 for row in found)
