"""Calling a search from Python accepts and refuses what the command does."""

from pathlib import Path

import pytest

from san_core.errors import InputError
from tuning.arguments import Checked, as_arguments
from tuning.options import parse_options, search_parser
from tuning.search import search


def _arguments(**options: object) -> list[str]:
    return as_arguments(options, search_parser(), left_out=("help", "json"))


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({"trials": 4, "data": Path("data/mine")}, ["--trials=4", "--data=data/mine"]),
        ({"set": {"hops": 1, "eps": 1e-08}}, ["--set=hops=1", "--set=eps=1e-08"]),
        ({"set": ["hops=1"], "prior": ["a", "b"]}, ["--set=hops=1", "--prior=a", "--prior=b"]),
        ({"baseline_first": False, "no_dashboard": True}, ["--no-baseline-first", "--no-dashboard"]),
        ({"baseline_first": True, "no_dashboard": False}, ["--baseline-first"]),
        ({"trials": None, "try_first": "list.json"}, ["--try=list.json"]),
        ({"run": "--help"}, ["--run=--help"]),
    ],
)
def test_options_become_the_command_that_says_the_same(options: dict[str, object], arguments: list[str]) -> None:
    assert _arguments(**options) == arguments


def test_every_option_of_the_command_can_be_given() -> None:
    given = {action.dest for action in search_parser()._actions} - {"help", "json"}
    values = {"try_first": "x", "run": "x"}
    for name in given:
        assert _arguments(**{name: values.get(name, True)})


def test_the_command_is_remembered_as_it_would_be_typed() -> None:
    options, given = parse_options(["--trials=4", "--set=hops=1"], Checked)
    assert options.arguments == ["--trials=4", "--set=hops=1"]
    assert (given["trials"].value, given["set"]) == (4, ["hops=1"])
    assert set(given) == {"trials", "set"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trails": 4}, "unknown option 'trails'; accepted: address, baseline_first, "),
        ({"json": True}, "unknown option 'json'; accepted: "),
        ({"trials": 0}, "argument --trials: must be a whole number >= 1, but got '0'"),
        ({"data": "nothing"}, "unknown data set 'nothing'; accepted: easy-vqa, "),
        ({"set": {"hops": 0}}, "hops must be a whole number >= 1, but got 0"),
    ],
)
def test_a_wrong_call_raises_one_line_and_writes_nothing(
    options: dict[str, object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message.replace("(", r"\(")) as refused:
        search(**options)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")
