import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from results.run_folder import PRIOR, SEARCH, SEED, RunFolder
from san_core.errors import InputError
from search_spaces import SearchSpace, load
from tests.tuning.studies import EPOCHS, ask, searching
from tuning.study.first_trials import read_configurations, read_priors
from tuning.study.live_trial import Epoch

SPACE = load("wide").only(["dropout", "hops", "attention"])  # a range of floats, one of ints, and choices
SAME = {"data_fingerprint": "abc", "metric": "accuracy"}


def _write(folder: Path, content: object) -> Path:
    path = folder / "first.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def _searched(run: RunFolder) -> None:
    """A search with a complete, a failed and an unfinished trial."""
    study = searching(run, space=SPACE)
    for epoch in range(1, EPOCHS + 1):
        study.report(ask(study).trial.number if epoch == 1 else 0, Epoch(epoch, 0.1 * epoch, 1.0))
    study.finish(0)
    study.finish(ask(study).trial.number, "worker died")
    ask(study)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{}],
        [{"dropout": 0.5, "hops": 3, "attention": "bounded"}],
        [{"hops": 1}, {"dropout": 0}, {"attention": "paper", "dropout": 0.7}],
    ],
    ids=["none", "empty", "whole", "partial"],
)
def test_configurations_are_read_as_they_stand(entries: list[dict[str, Any]], tmp_path: Path) -> None:
    assert read_configurations(_write(tmp_path, entries), SPACE) == entries


@pytest.mark.parametrize("content", ["", "{hops: 1}", "[{]", "hops=1"])
def test_what_is_not_json_is_refused(content: str, tmp_path: Path) -> None:
    path = _write(tmp_path, content)
    with pytest.raises(InputError, match=rf"^{path} is not JSON: .*; accepted: a list of objects, one per config") as e:
        read_configurations(path, SPACE)
    assert "\n" not in str(e.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "first.json"
    path.write_bytes(b"[\xff\xfe\xfd]")
    with pytest.raises(InputError, match=r"first\.json is not JSON"):
        read_configurations(path, SPACE)


@pytest.mark.parametrize("content", [{"hops": 1}, 3, "word", None, [1], [{"hops": 1}, [2]]], ids=str)
def test_what_is_not_a_list_of_objects_is_refused(content: object, tmp_path: Path) -> None:
    path = _write(tmp_path, json.dumps(content))
    with pytest.raises(InputError, match="must hold a list of objects, one per configuration, parameter: value"):
        read_configurations(path, SPACE)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.json does not exist"):
        read_configurations(tmp_path / "nothing.json", SPACE)


def test_all_entries_that_do_not_fit_are_named_in_one_error(tmp_path: Path) -> None:
    path = _write(tmp_path, [{"hops": 2}, {"dropout": 0.9, "hops": 4}, {"momentum": 0.5, "attention": "none"}])
    with pytest.raises(InputError, match="does not fit the search space") as refused:
        read_configurations(path, SPACE)
    message = str(refused.value)
    for part in (
        "configuration 2: dropout=0.9 outside",
        "configuration 2: hops=4 outside",
        "configuration 3: momentum is not searched, accepted: dropout, attention, hops",
        "configuration 3: attention=none outside",
    ):
        assert part in message
    assert "configuration 1:" not in message


@pytest.mark.parametrize(
    "entry",
    [
        '{"hops": 1.5}',
        '{"hops": 2.0}',
        '{"hops": "two"}',
        '{"hops": null}',
        '{"hops": [1]}',
        '{"dropout": NaN}',
        '{"dropout": 1e999}',
        '{"dropout": "much"}',
        '{"dropout": {}}',
        '{"attention": 1}',
        '{"attention": ["paper"]}',
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(entry: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="configuration 1: .* outside"):
        read_configurations(_write(tmp_path, f"[{entry}]"), SPACE)


@pytest.mark.parametrize(
    "entry", ['{"dropout": "0.5"}', '{"dropout": false}', '{"hops": true}', f'{{"hops": {10**400}}}']
)
def test_a_value_that_only_looks_like_a_number_is_refused(entry: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="configuration 1: .* outside"):
        read_configurations(_write(tmp_path, f"[{entry}]"), SPACE)


def test_complete_and_pruned_trials_of_earlier_searches_are_copied(make_run: Callable[..., RunFolder]) -> None:
    runs = [make_run(name, **SAME) for name in ("first", "second")]
    for run in runs:
        _searched(run)
    copied = read_priors(runs, SAME, SPACE)
    assert [trial.user_attrs[PRIOR] for trial in copied] == [str(run.path) for run in runs]
    for trial in copied:
        assert trial.state == TrialState.COMPLETE
        assert trial.value == pytest.approx(0.4)
        assert trial.params == SPACE.baseline
        assert SEED in trial.user_attrs


def test_without_earlier_searches_nothing_is_copied() -> None:
    assert read_priors([], SAME, SPACE) == []


@pytest.mark.parametrize(
    ("name", "words", "theirs", "ours"),
    [
        ("data_fingerprint", "data fingerprint", "xyz", "abc"),
        ("metric", "metric", "wups@0.9", "accuracy"),
    ],
)
def test_an_earlier_search_that_differs_is_refused_and_the_difference_named(
    name: str, words: str, theirs: object, ours: object, make_run: Callable[..., RunFolder]
) -> None:
    same, other = make_run("same", **SAME), make_run("other", **{**SAME, name: theirs})
    _searched(same)
    with pytest.raises(InputError) as refused:
        read_priors([same, other], SAME, SPACE)
    assert str(refused.value) == (
        f"--prior {other.path} cannot be learned from: its {words} is {theirs}, this search's {ours}"
    )


NARROW = SearchSpace({"dropout": FloatDistribution(0, 0.5), "hops": IntDistribution(1, 2)}, {"dropout": 0.5, "hops": 2})


def _tried(run: RunFolder, *configurations: dict[str, Any]) -> RunFolder:
    """A search over NARROW whose trials have these parameters."""
    study = optuna.create_study(study_name=SEARCH, storage=run.storage())
    study.add_trials(
        [
            create_trial(value=0.1 * number, params=params, distributions=dict(NARROW.parameters))
            for number, params in enumerate(configurations, start=1)
        ]
    )
    return run


@pytest.mark.parametrize(
    ("parameters", "fixed", "taken"),
    [
        ({"dropout": FloatDistribution(0, 0.9), "hops": IntDistribution(1, 3)}, {}, [0, 1, 2]),  # wider
        ({"dropout": FloatDistribution(0.25, 0.5), "hops": IntDistribution(1, 2)}, {}, [0, 2]),  # narrower
        ({"dropout": FloatDistribution(0, 0.5)}, {"hops": 2}, [0, 1]),  # one is fixed now
        (
            {**NARROW.parameters, "attention_size": IntDistribution(64, 512)},  # one was fixed then
            {},
            [0, 1, 2],
        ),
        ({**NARROW.parameters, "hops": CategoricalDistribution([1, 3])}, {}, [2]),
    ],
    ids=["wider", "narrower", "fixed now", "fixed then", "choices"],
)
def test_the_trials_that_lie_in_the_new_space_are_taken(
    parameters: dict[str, BaseDistribution], fixed: dict[str, Any], taken: list[int], make_run: Callable[..., RunFolder]
) -> None:
    tried = [{"dropout": 0.5, "hops": 2}, {"dropout": 0.125, "hops": 2}, {"dropout": 0.25, "hops": 1}]
    run = _tried(make_run(**SAME, fixed={"attention_size": 128, "hidden_size": 64}), *tried)
    baseline = {"dropout": 0.5, "hops": 1, "attention_size": 64}
    space = SearchSpace(parameters, {name: baseline[name] for name in parameters})
    said: list[str] = []

    copied = read_priors([run], {**SAME, "fixed": {**fixed, "hidden_size": 64}}, space, said.append)

    everything = [{**params, "attention_size": 128} for params in tried]
    assert [trial.params for trial in copied] == [
        {name: everything[number][name] for name in parameters} for number in taken
    ]
    assert [trial.value for trial in copied] == pytest.approx([0.1 * (number + 1) for number in taken])
    assert all(trial.distributions == dict(space.parameters) for trial in copied)
    assert said == [f"--prior {run.path}: {len(taken)} of its 3 scored trials lie in this search's space"]


@pytest.mark.parametrize(
    ("parameters", "baseline", "why"),
    [
        ({"dropout": FloatDistribution(0.6, 0.75)}, {"dropout": 0.7}, "dropout is 0.5, accepted: 0.6 to 0.75"),
        ({"momentum": FloatDistribution(0, 0.5)}, {"momentum": 0.5}, "momentum is 0.9, accepted: 0 to 0.5"),
        ({"dropout": FloatDistribution(0, 0.75)}, {"dropout": 0.7}, "hops is 2, but is fixed at 3 here"),
    ],
)
def test_an_earlier_search_with_no_trial_in_the_space_is_refused(
    parameters: dict[str, BaseDistribution], baseline: dict[str, Any], why: str, make_run: Callable[..., RunFolder]
) -> None:
    run = _tried(make_run(**SAME), {"dropout": 0.5, "hops": 2})
    with pytest.raises(InputError) as refused:
        read_priors([run], {**SAME, "fixed": {"hops": 3}}, SearchSpace(parameters, baseline))
    assert str(refused.value) == (
        f"--prior {run.path} cannot be learned from: none of its 1 scored trials lies in this search's space; "
        f"trial 0: {why}"
    )


def test_an_earlier_search_without_a_study_is_refused(make_run: Callable[..., RunFolder]) -> None:
    with pytest.raises(InputError, match="holds no study called 'search'"):
        read_priors([make_run(**SAME)], SAME, SPACE)


def _preparations(**fingerprints: str) -> dict[str, Any]:
    """Settings of a search of several preparations, the first of which is the baseline's."""
    entries = {name: {"folder": name, "fingerprint": each, "images": ""} for name, each in fingerprints.items()}
    return {**SAME, "data_fingerprint": next(iter(fingerprints.values())), "preparations": entries}


def _with_data(*names: str) -> SearchSpace:
    """NARROW with the preparations of these names."""
    if not names:
        return NARROW
    data = CategoricalDistribution(names)
    return SearchSpace({**NARROW.parameters, "data": data}, {**NARROW.baseline, "data": names[0]})


@pytest.mark.parametrize(
    ("theirs", "ours", "here"),
    [
        ({"a": "abc", "b": "def"}, {"b": "abc", "c": "def"}, ["b", "c"]),  # other names for the same
        ({"a": "abc", "b": "def"}, {"b": "abc", "c": "123"}, ["b"]),  # whose "b" is another one's
        ({"a": "abc", "b": "def"}, {}, [""]),
        ({}, {"b": "xyz", "c": "abc"}, ["c"]),
    ],
)
def test_data_are_the_same_by_their_fingerprint(
    theirs: dict[str, str], ours: dict[str, str], here: list[str], make_run: Callable[..., RunFolder]
) -> None:
    run = make_run(**(_preparations(**theirs) if theirs else SAME))
    study = optuna.create_study(study_name=SEARCH, storage=run.storage())
    space = _with_data(*theirs)
    for name in theirs or [""]:
        params = {**NARROW.baseline, **({"data": name} if name else {})}
        study.add_trial(create_trial(value=0.5, params=params, distributions=dict(space.parameters)))
    copied = read_priors([run], _preparations(**ours) if ours else SAME, _with_data(*ours))
    assert [trial.params.get("data", "") for trial in copied] == here
    assert all(trial.params.items() >= NARROW.baseline.items() for trial in copied)


def test_trials_on_data_that_are_not_searched_here_lie_outside(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(**_preparations(a="123", b="abc"))
    study = optuna.create_study(study_name=SEARCH, storage=run.storage())
    space = _with_data("a", "b")
    study.add_trial(create_trial(value=0.5, params=dict(space.baseline), distributions=dict(space.parameters)))
    with pytest.raises(InputError, match=r"trial 0: data is a \(fingerprint 123\), but is fixed at abc here$"):
        read_priors([run], SAME, NARROW)
    with pytest.raises(InputError, match=r"trial 0: data is a \(fingerprint 123\), accepted: one of a, c$"):
        read_priors([run], _preparations(a="abc", c="x"), _with_data("a", "c"))
    with pytest.raises(InputError, match=r"its data fingerprint is 123, abc, this search's x, y$"):
        read_priors([run], _preparations(a="x", c="y"), _with_data("a", "c"))
