"""The plans of new and of resumed searches; nothing is run."""

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from results.run_folder import IS_BASELINE, PRIOR, SEARCH, SECONDS, RunFolder
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from search_spaces import load
from tuning.options.bounds import resumed_bounds
from tuning.options.command_line import parse_options
from tuning.options.search_options import TRIALS
from tuning.planning.folds import chosen_folds
from tuning.planning.new_search import new_plan
from tuning.planning.plan import SearchPlan
from tuning.planning.resumed_search import resumed_plan
from tuning.study.first_trials import first_trials
from tuning.study.live_trial import Epoch
from tuning.study.open_study import open_search
from tuning.study.stop_rules import StopRules

PLAN = Callable[..., SearchPlan]


@pytest.fixture
def plan(tiny_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PLAN:
    """A new search on the squares in `runs/run`, or the one there resumed."""
    monkeypatch.chdir(tmp_path)

    def plan(*arguments: str, resume: bool = False) -> SearchPlan:
        if resume:
            resumed = resumed_plan(parse_options(["--resume", "run", *arguments]))
            resumed.run.change_settings(resumed.settings)
            return resumed
        return new_plan(parse_options(["--data", str(tiny_data.folder), "--run", "run", *arguments]))

    return plan


def _bounds(plan: SearchPlan) -> dict[str, Any]:
    """Those that are set, as the rules have them; the settings must say the same."""
    names = ("trials", "budget", "gpu_hours", "patience")
    rules = {name: getattr(plan.rules, name) for name in names}
    assert {name: plan.run.settings[name] for name in names} == rules
    return {name: bound for name, bound in rules.items() if bound is not None}


def _has_run(run: RunFolder, seconds: float) -> None:
    """Makes the run look as if it had been searching."""
    study = optuna.create_study(study_name=SEARCH, storage=run.storage())
    study.set_user_attr(SECONDS, seconds)


def _change_settings(run: RunFolder, **changes: Any) -> None:  # noqa: ANN401
    run.change_settings({**run.settings, **changes})


# New searches


def test_a_search_that_nothing_bounds_has_24_trials(plan: PLAN) -> None:
    assert TRIALS == 24
    assert _bounds(plan()) == {"trials": 24}


@pytest.mark.parametrize(
    ("arguments", "bounds"),
    [
        (["--trials", "3"], {"trials": 3}),
        (["--budget", "30m"], {"budget": 1800}),
        (["--patience", "7"], {"patience": 7}),
        (["--budget", "2h", "--patience", "7"], {"budget": 7200, "patience": 7}),
        (["--trials", "100", "--budget", "90s"], {"trials": 100, "budget": 90}),
    ],
)
def test_what_bounds_a_search_is_what_was_given(arguments: list[str], bounds: dict[str, float], plan: PLAN) -> None:
    assert _bounds(plan(*arguments)) == bounds


def test_gpu_hours_alone_bound_no_search_without_a_gpu(plan: PLAN) -> None:
    """Trials that have no GPU use no GPU hours: the search would never end."""
    with pytest.raises(InputError, match="--gpu-hours"):
        plan("--gpu-hours", "1", "--gpus-per-trial", "0")


def test_a_share_of_a_gpu_may_be_left_to_the_machine(plan: PLAN) -> None:
    assert plan("--gpus-per-trial", "auto").placement.max_concurrent >= 1


@pytest.mark.parametrize("arguments", [("--trials", "+3"), ("--budget", "+30m"), ("--gpu-hours", "+1")])
def test_a_new_search_has_nothing_to_add_to(arguments: tuple[str, str], plan: PLAN, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"adds to a search that is resumed; accepted here: without \+"):
        plan(*arguments)
    assert not list(tmp_path.iterdir())


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_made(plan: PLAN, tmp_path: Path) -> None:
    (tmp_path / "runs" / "run").mkdir(parents=True)
    wrong = ["--set", "hops=0", "--trials", "+3", "--metric", "none", "--prior", "none", "--cpus-per-trial", "9999"]
    with pytest.raises(InputError) as refused:
        plan(*wrong, "--storage", str(tmp_path / "storage"))
    for message in (
        "hops must be a whole number >= 1, but got 0; ",
        "unknown metric 'none'",
        "--trials +3 adds to a search that is resumed",
        "runs/none is not a run folder",
        "run folder runs/run exists already",
        "--cpus-per-trial must be <= ",
    ):
        assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_all_that_does_not_go_with_the_data_is_told_at_once(plan: PLAN) -> None:
    with pytest.raises(InputError, match=r"word vectors.*; metric vqa needs several people's answers"):
        plan("--set", "embedding_init=pretrained", "--metric", "vqa")
    assert not Path("runs").exists()


def test_a_new_search_searches_the_whole_space_and_fixes_all_else(plan: PLAN, tiny_data: PreparedData) -> None:
    planned = plan("--epochs", "7")
    space = load("san")
    assert planned.space == space
    fixed = planned.setup.fixed
    assert not {*space.parameters, "seed"} & fixed.keys()
    assert fixed["epochs"] == 7
    assert fixed["hidden_size"] == tiny_data.training_defaults["hidden_size"] == 32
    settings = planned.run.settings
    assert settings["fixed"] == fixed
    assert settings["baseline"] == space.baseline
    assert settings["space_definition"] == space.describe()
    assert settings["data_fingerprint"] == tiny_data.fingerprint
    assert (settings["metric"], settings["seed"], settings["confirm"]) == ("accuracy", 0, 2)
    assert planned.run.path == Path("runs/run").absolute()


def test_what_is_fixed_is_out_of_the_space_and_of_the_baseline(plan: PLAN) -> None:
    planned = plan("--set", "dropout=0.25", "--set", "schedule=cosine", "--set", "hops=3")
    assert set(planned.space.parameters) == {"learning_rate", "momentum", "embedding_size"}
    assert planned.space.baseline == {"learning_rate": 4e-4, "momentum": 0.9, "embedding_size": 1000}
    assert planned.run.settings["baseline"] == planned.space.baseline
    assert set(planned.run.settings["space_definition"]) == set(planned.space.parameters)
    fixed = planned.setup.fixed
    assert (fixed["dropout"], fixed["schedule"], fixed["hops"]) == (0.25, "cosine", 3)
    assert isinstance(fixed["hops"], int)


def test_a_preset_fixes_its_sizes_and_set_goes_over_it(plan: PLAN) -> None:
    """The paper's SAN(1,CNN): 500 numbers to a word, 640 filters, 1 hop."""
    planned = plan("--space", "wide", "--preset", "san(1,cnn)", "--set", "batch_size=20", "--set", "dropout=0")
    for name in (
        "embedding_size",
        "hidden_size",
        "question_encoder",
        "attention_size",
        "hops",
        "batch_size",
        "dropout",
    ):
        assert name not in planned.space.parameters
        assert name not in planned.space.baseline
    fixed = planned.setup.fixed
    assert (fixed["embedding_size"], fixed["hidden_size"], fixed["question_encoder"]) == (500, 640, "cnn")
    assert (fixed["hops"], fixed["attention_size"], fixed["batch_size"], fixed["dropout"]) == (1, 512, 20, 0)


def test_of_a_setting_that_is_set_twice_the_last_counts(plan: PLAN) -> None:
    assert plan("--set", "hops=1", "--set", "hops=3").setup.fixed["hops"] == 3


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("hops", "--set takes SETTING=VALUE, but got 'hops'"),
        ("seed=3", "--set cannot fix seed"),
        ("order_seed=3", "--set cannot fix order_seed"),
        ("hops=2.0", "hops must be a whole number >= 1, but got 2.0"),
        ("hops=", "hops must be a whole number >= 1, but got ''"),
        ("dropout=nan", "dropout must be a number >= 0 and < 1, but got nan"),
        ("schedule=linear", "schedule must be one of constant, step, cosine, but got 'linear'"),
        ("embedding_init=pretrained", "word vectors"),
    ],
)
def test_a_setting_that_training_refuses_is_refused(argument: str, message: str, plan: PLAN) -> None:
    with pytest.raises(InputError, match=message):
        plan("--set", argument)
    assert not Path("runs").exists()


def test_without_a_gpu_trials_are_trained_one_at_a_time_unless_a_cohort_is_asked_for(plan: PLAN) -> None:
    planned = plan("--gpus-per-trial", "0")
    assert planned.cohort == planned.setup.cohort == planned.run.settings["cohort"] == 1


def test_a_cohort_that_is_asked_for_is_recorded_and_told(plan: PLAN) -> None:
    planned = plan("--cohort", "8", "--concurrent", "1", "--gpus-per-trial", "0", "--cpus-per-trial", "1")
    assert planned.cohort == planned.setup.cohort == planned.run.settings["cohort"] == 8
    assert planned.placement.describe(planned.cohort) == "1 cohort of up to 8 trials at once, 1 core each"


def test_a_cohort_of_pixels_is_refused_and_auto_trains_one_trial_at_a_time(
    plan: PLAN, tiny_pixels: PreparedData
) -> None:
    with pytest.raises(InputError, match="^--cohort 2 cannot be trained: the data hold pixels .*; accepted here: auto"):
        plan("--cohort", "2", "--data", str(tiny_pixels.folder))
    assert not Path("runs").exists()
    assert plan("--data", str(tiny_pixels.folder)).cohort == 1


def test_a_cohort_without_its_step_is_refused_and_auto_trains_one_trial_at_a_time(plan: PLAN) -> None:
    with pytest.raises(InputError, match="^--cohort 64 cannot be trained: .* device_step=off rules out; accepted here"):
        plan("--cohort", "64", "--set", "device_step=off")
    assert plan("--cohort", "1", "--set", "device_step=off").cohort == 1
    with pytest.raises(InputError, match="--cohort 2 cannot be trained"):
        plan("--cohort", "2", resume=True)
    assert plan("--cohort", "auto", resume=True).cohort == 1


def test_folds_are_recorded_with_the_number_of_questions_of_each(plan: PLAN, tiny_data: PreparedData) -> None:
    counts = tiny_data.manifest["counts"]
    planned = plan("--folds", "3")
    settings = planned.run.settings
    assert (planned.setup.folds, settings["folds"], planned.cohort) == (3, 3, 1)
    assert len(settings["fold_questions"]) == 3
    assert sum(settings["fold_questions"]) == settings["validation_questions"] == counts["train"] + counts["validation"]
    assert plan(resume=True).setup.folds == 3
    with pytest.raises(InputError, match="--folds cannot change when a search is resumed"):
        plan("--folds", "4", resume=True)
    assert plan("--cohort", "4", resume=True).cohort == 4


def test_without_folds_the_datas_own_validation_questions_are_scored(plan: PLAN, tiny_data: PreparedData) -> None:
    settings = plan().run.settings
    questions = tiny_data.manifest["counts"]["validation"]
    assert (settings["folds"], settings["fold_questions"], settings["validation_questions"]) == (
        *(1, [questions], questions),
    )


@pytest.mark.parametrize(("questions", "folds"), [(2499, 5), (2500, 1)])
def test_automatic_folds_are_for_validation_splits_that_tell_little(
    questions: int, folds: int, tiny_data: PreparedData, capsys: pytest.CaptureFixture[str]
) -> None:
    data = PreparedData.open(tiny_data.folder)
    data.manifest = {**data.manifest, "counts": {**data.manifest["counts"], "validation": questions}}
    assert chosen_folds("auto", data) == folds
    assert f"{questions:,} validation questions tell scores to 1.0 points" in capsys.readouterr().err
    assert chosen_folds(2, data) == 2


@pytest.mark.parametrize("given", ["0", "21", "many", "-1", "1.5", ""])
def test_folds_that_cannot_be_are_refused(given: str, plan: PLAN, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        plan("--folds", given)
    assert f"--folds: must be a whole number from 1 to 20, or auto, but got {given!r}" in capsys.readouterr().err


def test_cohorts_are_trained_on_folds(plan: PLAN) -> None:
    planned = plan("--folds", "2", "--cohort", "4")
    assert (planned.setup.folds, planned.setup.cohort) == (2, 4)


def test_the_first_trials_are_the_baseline_and_what_is_to_be_tried(plan: PLAN, tmp_path: Path) -> None:
    (tmp_path / "first.json").write_text('[{"dropout": 0.1}, {"momentum": 0.5, "embedding_size": 64}]')
    waiting = plan("--try", "first.json").first_trials()
    assert [trial.system_attrs["fixed_params"] for trial in waiting] == [
        load("san").baseline,
        {"dropout": 0.1},
        {"momentum": 0.5, "embedding_size": 64},
    ]
    assert [trial.user_attrs.get(IS_BASELINE) for trial in waiting] == [True, None, None]
    (tmp_path / "runs" / "run").rename(tmp_path / "runs" / "other")
    without = plan("--try", "first.json", "--no-baseline-first").first_trials()
    assert [trial.system_attrs["fixed_params"] for trial in without] == [
        {"dropout": 0.1},
        waiting[2].system_attrs["fixed_params"],
    ]


def test_a_space_from_a_file_is_found_again_from_another_folder(
    plan: PLAN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("from search_spaces import load\nSPACE = load('san').only(['dropout'])\n")
    run = plan("--space", "mine.py").run
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "runs").symlink_to(tmp_path / "runs")
    assert set(plan(resume=True).space.parameters) == {"dropout"}
    assert run.path == tmp_path / "runs" / "run"


# Searches that are resumed


def test_a_resumed_search_is_the_search_that_was_planned(plan: PLAN) -> None:
    first = plan("--set", "dropout=0.25", "--trials", "9", "--patience", "4", "--confirm", "1", "--keep", "5")
    again = plan(resume=True)
    for part in ("space", "placement", "setup", "limits", "rules", "confirm"):
        assert getattr(again, part) == getattr(first, part)
    assert [t.system_attrs for t in again.first_trials()] == [t.system_attrs for t in first.first_trials()]
    assert again.run.path == first.run.path


@pytest.mark.parametrize(
    ("first", "then", "bounds"),
    [
        (["--trials", "24"], ["--trials", "30"], {"trials": 30}),
        (["--trials", "24"], ["--trials", "+20"], {"trials": 44}),
        (["--trials", "24"], ["--budget", "1h"], {"budget": 3600}),
        (["--trials", "24"], ["--budget", "+30m"], {"budget": 2700}),
        (["--budget", "10m"], ["--budget", "+30m"], {"budget": 2700}),
        (["--budget", "10m"], ["--trials", "50"], {"trials": 50}),
        (["--trials", "24", "--budget", "10m"], ["--trials", "+6", "--budget", "+1h"], {"trials": 30, "budget": 4500}),
        (["--trials", "24"], ["--patience", "5"], {"patience": 5}),
        (["--trials", "24", "--budget", "10m"], [], {"trials": 24, "budget": 600}),
    ],
)
def test_a_search_is_extended(first: list[str], then: list[str], bounds: dict[str, float], plan: PLAN) -> None:
    """It has run for 15 minutes."""
    _has_run(plan(*first).run, 900)
    assert _bounds(plan(*then, resume=True)) == bounds
    assert _bounds(plan(resume=True)) == bounds  # and stays extended


def test_more_trials_come_on_top_of_those_a_search_by_time_has_had(plan: PLAN) -> None:
    run = plan("--budget", "10m").run
    study = optuna.create_study(study_name=SEARCH, storage=run.storage())
    for _ in range(30):
        study.add_trial(optuna.trial.create_trial(value=0.5))
    assert _bounds(plan("--trials", "+20", resume=True)) == {"trials": 50}


def test_more_patience_and_gpu_hours_come_on_top_of_what_was_used(plan: PLAN) -> None:
    run = plan("--patience", "3").run
    study = optuna.create_study(study_name=SEARCH, storage=run.storage(), direction="maximize")
    for value in (0.4, 0.6, 0.5):
        study.add_trial(optuna.trial.create_trial(value=value, user_attrs={SECONDS: 1200.0}))
    assert _bounds(plan("--patience", "+5", resume=True)) == {"patience": 6}  # one came after the best
    _change_settings(run, gpus_per_trial=0.5)
    bounds = resumed_bounds(RunFolder.open(run.path), parse_options(["--gpu-hours", "+2"]))
    assert bounds["gpu_hours"] == 2.5  # three times 20 min of a half


def test_a_resumption_that_is_refused_changes_nothing(plan: PLAN) -> None:
    run = plan().run
    before = run.settings_file.read_bytes()
    for arguments in (["--trials", "+20", "--gpu-hours", "1"], ["--trials", "+20", "--address", "127.0.0.1:1"]):
        with pytest.raises(InputError):
            plan(*arguments, resume=True)
        assert run.settings_file.read_bytes() == before


def test_gpu_hours_bound_no_resumed_search_without_a_gpu(plan: PLAN) -> None:
    plan()
    with pytest.raises(InputError, match="--gpu-hours bounds trials that run on GPUs, but these have none; got 1"):
        plan("--gpu-hours", "1", resume=True)


def test_a_search_that_was_killed_before_its_first_trial_is_extended_from_nothing(plan: PLAN) -> None:
    plan()
    assert _bounds(plan("--budget", "+30m", resume=True)) == {"budget": 1800}


@pytest.mark.parametrize(
    ("option", "value", "found"),
    [
        ("--confirm", 5, lambda plan: plan.confirm),
        pytest.param("--confirm", 2, lambda plan: plan.confirm),
        ("--keep", 0, lambda plan: plan.limits.keep_checkpoints),
        ("--max-failures", 7, lambda plan: plan.limits.max_failures),
    ],
)
def test_what_may_be_given_anew_is_noted(
    option: str, value: int, found: Callable[[SearchPlan], int], plan: PLAN
) -> None:
    plan("--confirm", "0")
    assert found(plan(option, str(value), resume=True)) == value
    assert found(plan(resume=True)) == value


def test_a_resumed_search_keeps_its_cohorts_unless_others_are_asked_for(plan: PLAN) -> None:
    run = plan("--cohort", "8").run
    assert plan(resume=True).cohort == 8
    assert plan("--cohort", "2", resume=True).cohort == 2
    assert plan(resume=True).cohort == 2
    assert plan("--cohort", "auto", "--concurrent", "1", resume=True).run.settings["cohort"] in (1, 2, 4, 8, 16, 32, 64)
    settings = run.settings
    del settings["cohort"]
    run.change_settings(settings)  # as a run from before there were cohorts
    assert plan(resume=True).cohort == 1


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (
            [],
            ["--metric", "wups@0.9"],
            "--metric cannot change .*: .*run was started with 'accuracy', but got 'wups@0.9'",
        ),
        ([], ["--seed", "5"], "--seed cannot change when a search is resumed: .* was started with 0, but got 5"),
        pytest.param(
            ["--seed", "5"],
            ["--seed", "0"],
            "--seed cannot change .* was started with 5, but got 0",
        ),
        (
            [],
            ["--space", "wide"],
            "--space cannot change .* was started with 'san', but got 'wide'; to learn from it in another space: "
            "python -m tuning.search --prior runs/run --space SPACE$",
        ),
        ([], ["--sampler", "random"], "--sampler cannot change .* was started with 'auto', but got 'random'"),
        ([], ["--pruner", "none"], "--pruner cannot change .* was started with 'halving', but got 'none'"),
        ([], ["--no-baseline-first"], "--baseline-first cannot change .* started with True, but got False"),
        ([], ["--storage", "/nfs"], "--storage cannot change .* was started with None, but got '/nfs'"),
        ([], ["--epochs", "3"], "--epochs cannot change when a search is resumed"),
        ([], ["--set", "hops=1"], "--set cannot change when a search is resumed"),
        ([], ["--preset", "SAN(1,CNN)"], "--preset cannot change when a search is resumed"),
        ([], ["--try", "first.json"], "--try cannot change when a search is resumed"),
        ([], ["--prior", "earlier"], "--prior cannot change when a search is resumed"),
    ],
)
def test_what_makes_a_search_cannot_change(first: list[str], then: list[str], message: str, plan: PLAN) -> None:
    run = plan(*first).run
    before = run.settings_file.read_text()
    with pytest.raises(InputError, match=message):
        plan(*then, resume=True)
    assert run.settings_file.read_text() == before


def test_what_must_not_change_is_told_all_at_once(plan: PLAN) -> None:
    plan()
    with pytest.raises(InputError) as refused:
        plan("--seed", "5", "--pruner", "none", "--track", "mlflow", "--data", "nothing", resume=True)
    told = str(refused.value).split("; ")
    assert [text.split(" when ")[0] for text in told if "cannot change" in text] == [
        "--pruner cannot change",
        "--seed cannot change",
    ]
    assert told[0] == "unknown data set 'nothing'"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sampler", "random", "--seed", "5", "--metric", "accuracy", "--no-baseline-first"],
        *(
            pytest.param(again)
            for again in (
                ["--epochs", "3"],
                ["--set", "hops=1"],
                ["--preset", "SAN(1,CNN)"],
                ["--try", "first.json"],
                ["--space", "mine.py"],
            )
        ),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_resumed_search_may_be_told_again_what_it_was_told(arguments: list[str], plan: PLAN, tmp_path: Path) -> None:
    (tmp_path / "first.json").write_text('[{"dropout": 0.1}]')
    (tmp_path / "mine.py").write_text("from search_spaces import load\nSPACE = load('san').only(['dropout'])\n")
    first = plan(*arguments)
    assert plan(*arguments, resume=True).setup == first.setup


def test_other_data_are_refused(plan: PLAN, tiny_data: PreparedData) -> None:
    run = plan().run
    _change_settings(run, data_fingerprint="123abc")
    with pytest.raises(InputError) as refused:
        plan(resume=True)
    assert str(refused.value) == (
        f"{tiny_data.folder} has fingerprint {tiny_data.fingerprint}, but runs/run ran on 123abc; "
        "give it the same data, prepared as they were, or start a new search"
    )


@pytest.mark.parametrize("placed", [{"gpus_per_trial": 1.0, "cpus_per_trial": 1}, {"cpus_per_trial": 9999}])
def test_a_run_that_was_moved_to_a_smaller_machine_gets_what_that_has(
    placed: dict[str, float], plan: PLAN, capsys: pytest.CaptureFixture[str]
) -> None:
    here = plan("--cohort", "4")
    settings = here.run.settings
    _change_settings(here.run, **placed)
    resumed = plan(resume=True)
    assert resumed.placement == here.placement
    assert resumed.run.settings == settings
    assert resumed.cohort == 4
    assert (
        "but no machine here has as much; it gets 1 core now, and scores may differ by rounding\n"
        in capsys.readouterr().err
    )
    plan(resume=True)
    assert capsys.readouterr().err == ""


def test_data_that_were_moved_are_trained_on_where_they_are_now(
    plan: PLAN, tiny_data: PreparedData, tmp_path: Path
) -> None:
    run = plan().run
    shutil.copytree(tiny_data.folder, tmp_path / "moved")
    _change_settings(run, data=str(tmp_path / "gone"))
    with pytest.raises(InputError) as refused:
        plan(resume=True)
    assert str(refused.value) == (
        f"the data that runs/run was searched on are no longer in {tmp_path}/gone; accepted: their new folder, with "
        "--data FOLDER"
    )
    assert plan("--data", "./moved", resume=True).setup.data == str((tmp_path / "moved").resolve())


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("SPACE = load('san').only(['momentum'])", "dropout is missing, but was 0 to 0.7; to learn"),
        (
            "SPACE = SearchSpace("
            "{'momentum': FloatDistribution(0, 0.99), 'dropout': FloatDistribution(0, 0.6)}, "
            "{'momentum': 0.5, 'dropout': 0.5})",
            "dropout is 0 to 0.6, but was 0 to 0.7; to learn from it in the new space: "
            "python -m tuning.search --prior runs/run --space SPACE$",
        ),
    ],
    ids=["missing", "other range"],
)
def test_a_space_that_was_changed_meanwhile_is_refused(space: str, message: str, plan: PLAN, tmp_path: Path) -> None:
    head = "from optuna.distributions import FloatDistribution\nfrom search_spaces import SearchSpace, load\n"
    file = tmp_path / "mine.py"
    file.write_text(f"{head}SPACE = load('san').only(['dropout', 'momentum'])\n")
    run = plan("--space", "mine.py").run
    file.write_text(f"{head}{space}\n")
    expected = f"^search space '{file}' has changed since {run.shown} was started: {message}"
    with pytest.raises(InputError, match=expected):
        plan(resume=True)


def test_a_space_whose_file_is_gone_is_that_of_the_run_folder(plan: PLAN, tmp_path: Path) -> None:
    """A run folder that was copied to another machine."""
    file = tmp_path / "mine.py"
    file.write_text("from search_spaces import load\nSPACE = load('wide').only(['dropout', 'hops', 'attention'])\n")
    space = plan("--space", "mine.py").space
    file.unlink()
    assert plan(resume=True).space == space


def test_a_prior_of_another_space_is_learned_from_and_told(
    plan: PLAN, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = load("san")
    earlier = plan().run
    study = open_search(earlier, space, StopRules(trials=1), first_trials=lambda: first_trials(space.baseline, []))
    while live := study.ask():
        study.report(live.trial.number, Epoch(earlier.setting("fixed")["epochs"], 0.5, 1.0))
        study.finish(live.trial.number)
    fixed = earlier.setting("fixed")  # of a version that did not know one of the settings
    _change_settings(earlier, fixed={name: fixed[name] for name in fixed if name != "feature_dropout"})
    (tmp_path / "wider.py").write_text(
        "from dataclasses import replace\nfrom optuna.distributions import FloatDistribution\n"
        "from search_spaces import load\nSAN = load('san')\n"
        "NEW = {'dropout': FloatDistribution(0, 0.95), 'feature_dropout': FloatDistribution(0, 0.9)}\n"
        "BASELINE = {**SAN.baseline, 'feature_dropout': 0.5}\n"
        "SPACE = replace(SAN, parameters={**SAN.parameters, **NEW}, baseline=BASELINE)\n"
    )
    capsys.readouterr()
    planned = plan("--run", "wider", "--space", "wider.py", "--prior", "run")
    copied = [trial for trial in planned.first_trials() if PRIOR in trial.user_attrs]
    assert [trial.params for trial in copied] == [{**space.baseline, "feature_dropout": 0}]
    assert copied[0].distributions["dropout"] == FloatDistribution(0, 0.95)
    assert capsys.readouterr().err == "--prior runs/run: 1 of its 1 scored trials lie in this search's space\n"


def _change_environment(run: RunFolder, **packages: str) -> None:
    environment = run.environment
    run.environment_file.write_text(json.dumps({**environment, "packages": {**environment["packages"], **packages}}))


def test_another_major_version_of_optuna_is_refused(plan: PLAN) -> None:
    _change_environment(plan().run, optuna="4.3.0")
    with pytest.raises(InputError) as refused:
        plan(resume=True)
    assert str(refused.value) == (
        f"runs/run was started with optuna 4.3.0, but {optuna.__version__} is installed, and another major version may "
        "read its journal differently; accepted: optuna 4.x, or a new search with --prior runs/run"
    )


def test_other_versions_are_told_in_a_line(plan: PLAN, capsys: pytest.CaptureFixture[str]) -> None:
    run = plan().run
    versions = {name: version(name) for name in ("torch", "ray")}
    _change_environment(run, torch="2.1.0", ray="2.50.0", pillow="9")
    capsys.readouterr()
    plan(resume=True)
    assert capsys.readouterr().err == (
        f"runs/run was started with torch 2.1.0 (now {versions['torch']}), ray 2.50.0 (now {versions['ray']}): "
        "the scores of further trials may differ slightly\n"
    )


@pytest.mark.parametrize("content", ["", "[]", '{"packages": 3}'])
def test_an_environment_that_is_lost_keeps_no_search_from_going_on(content: str, plan: PLAN) -> None:
    plan().run.environment_file.write_text(content)
    assert plan(resume=True).space == load("san")


def test_a_parameter_that_the_space_got_meanwhile_is_left_out(plan: PLAN, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    for names in (["dropout"], ["dropout", "momentum"]):
        file.write_text(f"from search_spaces import load\nSPACE = load('san').only({names})\n")
        planned = plan("--space", "mine.py") if len(names) == 1 else plan(resume=True)
    assert set(planned.space.parameters) == {"dropout"}


# Data at a URI


def test_a_search_on_data_at_a_uri_goes_on_when_its_copy_is_gone_and_where_they_were_moved(
    plan: PLAN, tiny_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAN_DATA_CACHE", str(tmp_path / "cache"))
    uri, copy = tiny_data.folder.as_uri(), tmp_path / "cache" / tiny_data.fingerprint
    new = new_plan(parse_options(["--data", uri, "--run", "run"]))
    assert (new.setup.data, new.setup.data_uris) == (str(copy), {tiny_data.fingerprint: uri})
    assert new.run.settings["data_name"] == "tiny"
    shutil.rmtree(copy)
    assert plan(resume=True).setup.data == str(copy)
    assert PreparedData.open(copy).fingerprint == tiny_data.fingerprint

    moved = shutil.copytree(tiny_data.folder, tmp_path / "moved")
    there = plan("--data", str(moved), resume=True)
    assert (there.setup.data, there.setup.data_uris) == (str(moved), {})
    shutil.rmtree(copy)
    again = plan("--data", moved.as_uri(), resume=True)
    assert (again.setup.data, again.setup.data_uris) == (str(copy), {tiny_data.fingerprint: moved.as_uri()})

    shutil.rmtree(copy)
    shutil.rmtree(moved)
    with pytest.raises(InputError, match=r"^the data at file://.*/moved cannot be used: Cannot list directory"):
        plan(resume=True)


def test_a_run_on_data_at_a_uri_is_called_after_their_folder(
    tiny_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAN_DATA_CACHE", str(tmp_path / "cache"))
    assert new_plan(parse_options(["--data", tiny_data.folder.as_uri()])).run.name.startswith("tiny-")
