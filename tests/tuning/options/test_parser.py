"""The options on the command line; and a call from Python, which accepts and refuses what the command does."""

from pathlib import Path

import pytest

from san_core.errors import InputError
from tuning.options.command_line import options_from_keywords, parse_options
from tuning.options.option import Amount
from tuning.options.search_options import SearchOptions, declared_options
from tuning.search import search


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("30min", 1800), ("2h", 7200), ("1d", 86400), ("1.5h", 5400), ("0.5s", 0.5)],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert parse_options(["--budget", text]).budget == Amount(text, seconds, more=False)
    assert parse_options(["--budget", f"+{text}"]).budget == Amount(f"+{text}", seconds, more=True)


@pytest.mark.parametrize(
    "text", ["", "+", "30", "m", "0s", "0.0h", "-5m", "1h30m", "1e3s", "nans", "++1m", "5 m", "5M", "1w"]
)
def test_what_is_no_duration_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_options([f"--budget={text}"])
    assert f"argument --budget: must be a time such as 90s, 30m or 2h, but got {text!r}" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "more"), [("5", False), ("+5", True)])
def test_trials_are_a_number_or_so_many_more(text: str, more: bool) -> None:
    found = parse_options(["--trials", text, "--patience", text, "--gpu-hours", text])
    assert found.trials == found.patience == found.gpu_hours == Amount(text, 5, more)
    assert [type(each.value) for each in (found.trials, found.patience, found.gpu_hours)] == [int, int, float]


@pytest.mark.parametrize("text", ["0", "+0", "-1", "+-1", "2.5", "many", ""])
def test_what_is_no_number_of_trials_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_options([f"--trials={text}"])
    assert "argument --trials: must be a whole number >= 1, but got" in capsys.readouterr().err


@pytest.mark.parametrize("width", ["auto", 1, 2, 4, 8, 16, 32, 64])
def test_a_cohort_has_a_width_that_is_a_power_of_2_or_is_left_to_the_machine(width: str | int) -> None:
    assert parse_options(["--cohort", str(width)]).cohort == width
    assert options_from_keywords({"cohort": width}).cohort == width


@pytest.mark.parametrize("text", ["0", "3", "128", "-1", "2.0", "+2", "08", "many", ""])
def test_what_is_no_width_of_a_cohort_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_options([f"--cohort={text}"])
    message = f"argument --cohort: must be auto, 1, 2, 4, 8, 16, 32 or 64, but got {text!r} "
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("more", "bound"), [(False, 20), (True, 44)])
def test_an_amount_is_a_bound_or_comes_on_top(more: bool, bound: int) -> None:
    assert Amount("20", 20, more).after(24) == bound


def test_the_options_that_were_given_are_told_apart() -> None:
    options = parse_options(["--trials", "3", "--set", "hops=1", "--no-baseline-first", "--json"])
    given = {"trials": Amount("3", 3, False), "set": ("hops=1",), "baseline_first": False, "json": True}
    assert options.given_values == given
    assert parse_options([]).given_values == {}
    assert parse_options([]) == SearchOptions()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--confirm", "2"], {"confirm": 2}),
        (["--keep", "3"], {"keep": 3}),
        (["--seed", "0"], {"seed": 0}),
        (["--sampler", "auto", "--pruner", "halving"], {"sampler": "auto", "pruner": "halving"}),
        (["--baseline-first"], {"baseline_first": True}),
    ],
)
def test_an_option_that_was_given_its_default_was_given(arguments: list[str], expected: dict[str, object]) -> None:
    assert parse_options(arguments).given_values == expected


def test_every_value_that_is_wrong_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_options(["--trials", "0", "--sampler", "best", "--budget", "30", "--nonsense"])
    assert capsys.readouterr().err == (
        "python -m tuning.search: argument --trials: must be a whole number >= 1, but got '0'; "
        "argument --sampler: invalid choice: 'best' "
        "(choose from 'auto', 'tpe', 'gp', 'cmaes', 'qmc', 'random', 'grid'); "
        "argument --budget: must be a time such as 90s, 30m or 2h, but got '30'; "
        "unrecognized arguments: --nonsense (--help lists the options)\n"
    )


def test_help_names_every_option_and_its_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit, match="0"):
        parse_options(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, declared in declared_options().items():
        described = text.partition(f" {declared.flag}")[2]
        assert declared.option.help in described, name
        if declared.default_text:
            assert f"{declared.option.help} (default: {declared.default_text})" in described, name


def test_the_notification_url_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There it is in no list of processes, and in no recorded command."""
    monkeypatch.setenv("SAN_NOTIFY_URL", "https://me:secret@host/path")
    options = parse_options(["--seed", "1"])
    assert options.notify == "https://me:secret@host/path"
    assert (options.arguments, options.given) == (("--seed", "1"), {"seed"})
    assert parse_options(["--notify", "https://other"]).notify == "https://other"
    monkeypatch.setenv("SAN_NOTIFY_URL", "ftp://me:secret@host")
    with pytest.raises(SystemExit, match="2"):
        parse_options([])
    told = capsys.readouterr().err
    assert "SAN_NOTIFY_URL: must be a URL such as https://HOST/PATH" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", str(10**20)], "--trials: must be at most 1,000,000, but got '100000000000000000000'"),
        (["--trials", f"+{10**12}"], "--trials: must be at most 1,000,000, but got '1000000000000'"),
        (["--epochs", str(10**12)], "--epochs: must be at most 1,000,000, but got '1000000000000'"),
        (["--confirm", "100000"], "--confirm: must be a whole number >= 0 and < 1001, but got '100000'"),
        (["--budget", "9" * 400 + "d"], "--budget: must be at most 3650d, but got '9999"),
    ],
)
def test_numbers_that_nobody_wants_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_options(arguments)
    assert message in capsys.readouterr().err


# From Python


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
    assert list(options_from_keywords(options).arguments) == arguments


def test_every_option_of_the_command_can_be_given() -> None:
    values: dict[str, object] = {"budget": "90s", "notify": "https://host/path", "set": {"hops": 1}, "resume": None}
    values |= {"sampler": "gp", "pruner": "none", "track": "wandb", "prior": ["a"]}
    for name in declared_options():
        if name != "json":
            value = values.get(name, 1)
            options = options_from_keywords({name: value})
            assert options.given == (set() if value is None else {name})


def test_a_call_is_the_command_that_says_the_same() -> None:
    options = options_from_keywords({"trials": 4, "set": {"hops": 1}})
    assert options == parse_options(["--trials=4", "--set=hops=1"])
    assert options.arguments == ("--trials=4", "--set=hops=1")


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


@pytest.mark.parametrize("name", ["data", "space", "try_first", "run", "storage"])
def test_a_wave_is_the_home_folder_in_every_option_that_takes_a_path(name: str) -> None:
    home = str(Path.home())
    given = getattr(options_from_keywords({name: "~/a/b"}), name)
    assert given == ((f"{home}/a/b",) if name == "data" else f"{home}/a/b")
    assert options_from_keywords({"prior": ["~/a", "b"]}).prior == (f"{home}/a", "b")


def test_an_unknown_home_folder_is_refused() -> None:
    with pytest.raises(InputError, match="the home folder that '~nobody-here/x' begins with is not known"):
        options_from_keywords({"run": "~nobody-here/x"})
