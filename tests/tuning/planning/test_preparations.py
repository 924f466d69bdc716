"""Searches among several preparations of the same questions: their plans; nothing is run."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution

from results.run_folder import RunFolder
from results.snapshot import load_snapshot
from san_core.data.preparation import Options
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from search_spaces import load
from tuning.options.command_line import parse_options
from tuning.planning.new_search import new_plan
from tuning.planning.plan import SearchPlan
from tuning.planning.preparations import largest, short_names
from tuning.planning.resumed_search import resumed_plan
from tuning.study.open_study import open_search

PLAN = Callable[..., SearchPlan]


@pytest.fixture
def sets(tiny_data: PreparedData, tiny_whole: PreparedData, tmp_path: Path) -> Mapping[str, Path]:
    """The squares as 2 x 2 regions and as one, in folders of the test's own, by their names."""
    data = {"2x2": tiny_data, "1x1": tiny_whole}
    return {name: shutil.copytree(each.folder, tmp_path / "sets" / name) for name, each in data.items()}


@pytest.fixture
def plan(sets: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PLAN:
    """plan(*arguments): a new search on both in `runs/run`; plan(*arguments, resume=True): the one there resumed."""
    monkeypatch.chdir(tmp_path)
    both = [word for folder in sets.values() for word in ("--data", str(folder))]

    def plan(*arguments: str, resume: bool = False) -> SearchPlan:
        if resume:
            return resumed_plan(parse_options(["--resume", "run", *arguments]))
        return new_plan(parse_options([*both, "--run", "run", *arguments]))

    return plan


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/a/lite0-7x7"], [""]),
        (["/a/lite0-7x7", "/b/lite0-14x14"], ["lite0-7x7", "lite0-14x14"]),
        (["/a/x/data", "/b/x/data", "/b/x/other"], ["a/x/data", "b/x/data", "b/x/other"]),
        (["/data", "/a/data"], ["/data", "a/data"]),
    ],
)
def test_names_are_as_short_as_they_can_be(folders: list[str], names: list[str]) -> None:
    assert short_names(list(map(Path, folders))) == names


def test_which_preparation_is_one_more_parameter(plan: PLAN, sets: Mapping[str, Path]) -> None:
    planned = plan()
    san = load("san")
    assert planned.space.parameters == {**san.parameters, "data": CategoricalDistribution(["2x2", "1x1"])}
    assert planned.space.baseline == {**san.baseline, "data": "2x2"}
    settings, setup = planned.run.settings, planned.setup
    assert settings["data"] == setup.data == str(sets["2x2"])
    assert {name: each["folder"] for name, each in settings["preparations"].items()} == {
        name: str(folder) for name, folder in sets.items()
    }
    assert "data" not in settings["fixed"]
    assert setup.folders == [str(folder) for folder in sets.values()]
    assert setup.config({"data": "1x1", "seed": 3, "hops": 1}).hops == 1


def test_one_alone_is_no_parameter(plan: PLAN, sets: Mapping[str, Path]) -> None:
    one = new_plan(parse_options(["--data", str(sets["1x1"]), "--run", "one"]))
    assert one.space == load("san")
    assert "preparations" not in one.run.settings
    assert set(plan().run.settings) - set(one.run.settings) == {"preparations"}


def test_a_search_of_features_alone(plan: PLAN) -> None:
    fixed = [f"--set={name}={value}" for name, value in load("san").baseline.items()]
    assert list(plan(*fixed).space.parameters) == ["data"]


def test_configurations_to_try_first_name_them(plan: PLAN, tmp_path: Path) -> None:
    first = tmp_path / "first.json"
    first.write_text(json.dumps([{"data": "1x1"}, {"data": "4x4", "dropout": 0.3}]))
    with pytest.raises(InputError, match=r"configuration 2: data=4x4 outside CategoricalDistribution\(.*'2x2', '1x1'"):
        plan("--try", str(first))
    first.write_text(json.dumps([{"data": "1x1"}]))
    assert plan("--try", str(first)).settings["try_first"] == [{"data": "1x1"}]


def test_what_is_tried_and_drawn_has_data(plan: PLAN) -> None:
    planned = plan("--sampler", "random")
    study = open_search(planned.run, planned.space, planned.rules, first_trials=planned.first_trials)
    drawn = [study.ask() for _ in range(12)]
    chosen = [live.settings["data"] for live in drawn if live]
    assert chosen[0] == "2x2"
    assert set(chosen) == {"2x2", "1x1"}


def test_the_folders_are_told_of_in_the_report(plan: PLAN, sets: Mapping[str, Path]) -> None:
    from results.report.facts import setting_lines

    planned = plan()
    open_search(planned.run, planned.space, planned.rules)
    lines = dict(setting_lines(load_snapshot(planned.run)))
    for name, grid in (("2x2", 2), ("1x1", 1)):
        assert lines[f"data {name}"].startswith(f"{grid} x {grid} regions of efficientnet-lite0, layer features, at 64")
        assert f"; read from {sets[name]}, fingerprint " in lines[f"data {name}"]
    assert not {"read from", "images", "fingerprint of the data"} & lines.keys()


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (Options(image_size=64, seed=1), "seed 0 and 1"),
        (Options(image_size=64, top_answers=4), "top_answers None and 4"),
        (Options(image_size=64, grid=1, test_share=0.0, keep_answers=True), "keep_answers False and True"),
    ],
)
def test_other_questions_are_refused(
    options: Options,
    difference: str,
    sets: Mapping[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepared_tiny: Callable[[Options], PreparedData],
) -> None:
    monkeypatch.chdir(tmp_path)
    other = prepared_tiny(options).folder
    with pytest.raises(InputError) as refused:
        new_plan(parse_options(["--data", str(sets["2x2"]), "--data", str(other)]))
    assert str(refused.value) == (
        f"--data {sets['2x2']} and {other} are no preparations of the same questions: {difference}; accepted: data "
        "that differ only in the features of the images"
    )
    assert not Path("runs").exists()


def test_answers_that_differ_although_all_inputs_are_the_same_are_refused(plan: PLAN, sets: Mapping[str, Path]) -> None:
    manifest = sets["1x1"] / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "answers": content["answers"][::-1]}))
    with pytest.raises(InputError, match=r"no preparations of the same questions: answers \w{16} and \w{16}; accepted"):
        plan()


def test_the_same_data_twice_are_refused(plan: PLAN, sets: Mapping[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(sets["1x1"], tmp_path / "copy")
    with pytest.raises(InputError, match=rf"^--data {sets['1x1']} and {copy} are the same; accepted: different prep"):
        plan("--data", str(copy))
    with pytest.raises(InputError, match=rf"^--data {copy} is given twice; accepted: different preparations"):
        plan("--data", str(copy), "--data", str(copy))


def test_the_largest_is_what_most_memory_is_needed_for(
    tiny_data: PreparedData, tiny_whole: PreparedData, tiny_pixels: PreparedData
) -> None:
    assert largest({"a": tiny_whole, "b": tiny_data}) is tiny_data
    assert largest({"a": tiny_whole, "b": tiny_pixels, "c": tiny_data}) is tiny_pixels


def test_cohorts_are_refused_where_one_preparation_has_pixels(plan: PLAN, tiny_pixels: PreparedData) -> None:
    with pytest.raises(InputError, match="^--cohort 4 cannot be trained: the data hold pixels"):
        plan("--data", str(tiny_pixels.folder), "--cohort", "4")


# Resumed searches


def test_a_resumed_search_is_the_same(plan: PLAN) -> None:
    first, again = plan(), plan(resume=True)
    assert again.settings == first.run.settings
    assert again.space == first.space
    assert again.setup == first.setup


@pytest.mark.parametrize("given", [["1x1"], ["1x1", "2x2"]])
def test_data_that_were_moved_are_found_again(
    given: list[str], plan: PLAN, sets: Mapping[str, Path], tmp_path: Path
) -> None:
    plan()
    places = {name: folder if name not in given else folder.rename(tmp_path / name) for name, folder in sets.items()}
    with pytest.raises(
        InputError, match=r"are no longer in .*/sets/.*; accepted: their new folder, with --data FOLDER"
    ):
        plan(resume=True)
    again = plan(*(f"--data={places[name]}" for name in given), resume=True)
    assert again.settings["data"] == str(places["2x2"])
    assert again.setup.folders == [str(places["2x2"]), str(places["1x1"])]
    assert list(again.space.parameters)[-1] == "data"


def test_other_data_are_refused(plan: PLAN, tiny_pixels: PreparedData) -> None:
    run = plan().run
    prints = [each["fingerprint"] for each in run.settings["preparations"].values()]
    with pytest.raises(InputError) as refused:
        plan("--data", str(tiny_pixels.folder), resume=True)
    assert str(refused.value) == (
        f"{tiny_pixels.folder} has fingerprint {tiny_pixels.fingerprint}, but runs/run ran on {', '.join(prints)}; "
        "give it the same data, prepared as they were, or start a new search"
    )


@pytest.mark.parametrize("entry", [{"2x2": "folder"}, {"2x2": {"folder": "a", "fingerprint": "b"}}, []], ids=str)
def test_damaged_settings_are_told(entry: Any, plan: PLAN) -> None:  # noqa: ANN401
    run = plan().run
    run.settings_file.write_text(json.dumps({**run.settings, "preparations": entry}))
    with pytest.raises(InputError, match="'preparations' is .*, accepted: an object of folder, fingerprint and images"):
        plan(resume=True)


def test_a_run_of_several_without_their_list_is_damaged(plan: PLAN) -> None:
    run: RunFolder = plan().run
    run.settings_file.write_text(json.dumps({k: v for k, v in run.settings.items() if k != "preparations"}))
    with pytest.raises(InputError, match="damaged: it lacks 'preparations'"):
        plan(resume=True)
