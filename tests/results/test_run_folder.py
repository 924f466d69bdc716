from pathlib import Path

import optuna
import pytest

from results.run_folder import RUNS, SEARCH, RunFolder
from san_core.errors import InputError


def test_a_name_lies_under_runs_and_a_path_where_it_says() -> None:
    assert RunFolder.locate("mine") == RUNS / "mine"
    assert RunFolder.locate("elsewhere/mine") == Path("elsewhere/mine")


def test_a_run_without_a_name_is_named_after_the_data_and_the_time() -> None:
    assert RunFolder.default_path("data/easy-vqa").parent == RUNS
    assert RunFolder.default_path("data/easy-vqa/").name.startswith("easy-vqa-20")


@pytest.mark.parametrize("name", ["", "runs/..", "/"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"is not a run's name; accepted: a name under runs/, or a path with a slash"):
        RunFolder.locate(name)


def test_settings_and_environment_are_kept(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", {"trials": 3}, {"cores": 2})
    run = RunFolder(tmp_path / "run")
    assert run.settings == {"trials": 3}
    assert run.environment == {"cores": 2}


def test_settings_change_only_by_being_written(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"trials": 3}, {})
    settings = run.settings
    settings["trials"] = 4
    assert run.setting("trials") == 3
    run.change_settings(settings)
    assert run.setting("trials") == RunFolder(run.path).setting("trials") == 4


def test_what_a_kill_left_of_the_journal_is_removed(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, {})
    run.repair_journal()  # there is none yet
    lock = run.path / "journal.log.lock"
    run.journal.write_text('{"op_code": 0}\n{"op_code": 4, "wor')
    lock.touch()

    run.repair_journal()

    assert run.journal.read_text() == '{"op_code": 0}\n'
    assert not lock.exists()


@pytest.mark.parametrize(
    ("torn", "kept"),
    [
        (b'{"op_code":5}\n\0\0\0\0', b'{"op_code":5}\n'),
        (b'{"op_code":5}\n{"op_co\0\0\0\0\n{"op_code":8}\n', b'{"op_code":5}\n'),  # pages came out of order
        (b'{"op_code":5}\n{"op_co\n{"op_code":6,"state":1}\n', None),  # not a power cut: an end was synced after it
    ],
)
def test_a_torn_end_of_the_journal_is_removed_and_other_damage_is_not(
    torn: bytes, kept: bytes | None, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "run", {}, {})
    run.journal.write_bytes(torn)
    run.repair_journal()
    assert run.journal.read_bytes() == (torn if kept is None else kept)


def test_an_existing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already; choose another name with --run"):
        RunFolder.create(tmp_path, {}, {})


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file is not a folder that can be written"):
        RunFolder.check_available(tmp_path / "file" / "run")


def test_a_folder_that_no_search_wrote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a run folder: it has no settings\.json"):
        RunFolder.open(tmp_path)
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(InputError, match=r"is not a run folder: it has no journal\.log"):
        RunFolder.open(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, {})
    run.settings_file.write_text('{"trials":')
    with pytest.raises(InputError, match=r"cannot read .*settings\.json"):
        _ = run.settings


def test_half_a_surrogate_pair_which_no_file_can_hold_is_damage(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, {})
    for file in (run.settings_file, run.environment_file):
        file.write_text('{"command": ["\\ud800"]}')
    with pytest.raises(InputError, match=r"cannot read .*settings\.json: it holds half of a surrogate pair \(such as "):
        _ = run.settings
    assert run.environment == {}


def test_a_journal_without_the_study_is_named(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, {})
    with pytest.raises(InputError, match="holds no study called 'search'"):
        run.study()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"seed": "x"}, "'seed' is 'x', accepted: a whole number >= 0"),
        ({"seed": True}, "'seed' is 'True', accepted: a whole number >= 0"),
        ({"budget": float("nan")}, "'budget' is 'nan', accepted: a number >= 0 or null"),
        ({"cohort": 0}, "'cohort' is '0', accepted: a whole number >= 1"),
        ({"trials": [3]}, "'trials' is '[3]', accepted: a whole number >= 0 or null"),
        ({"fixed": []}, "'fixed' is '[]', accepted: an object"),
        ({"space_definition": {"hops": 1}}, "'space_definition' is \"{'hops': 1}\", accepted: an object of texts"),
        ({"prior": "run"}, "'prior' is 'run', accepted: a list of texts"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_setting_of_another_kind_is_named(settings: dict[str, object], told: str, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", settings, {})
    with pytest.raises(InputError) as refused:
        _ = run.settings
    assert str(refused.value) == f"{run.settings_file} is damaged: {told}"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("[]", "it is no entry of a journal"),
        ('{"op_code":"x"}', "it is no entry of a journal"),
        ('{"op_code":8,"worker_id":"w","trial_id":null,"user_attr":{"a":1}}', "its trial_id is 'None'"),
        (
            '{"op_code":8,"worker_id":"w","trial_id":0,"user_attr":{"seconds":"x"}}',
            "its user_attr is \"{'seconds': 'x'}\"",
        ),
        ('{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"job-0":{}}}', "its user_attr is \"{'job-0': {}}\""),
        (
            '{"op_code":7,"worker_id":"w","trial_id":0,"step":1,"intermediate_value":[]}',
            "its intermediate_value is '[]'",
        ),
        ('{"op_code":6,"worker_id":"w","trial_id":0,"values":null}', "its state is 'None'"),
        (
            '{"op_code":8,"worker_id":"w","trial_id":0,"user_attr":{"a":"\\ud800"}}',
            "its user_attr is \"{'a': '\\\\ud800'}\"",
        ),
    ],
)
def test_a_damaged_entry_of_the_journal_is_named(entry: str, told: str, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {}, {})
    optuna.create_study(study_name=SEARCH, storage=run.storage())
    line = len(run.journal.read_text().splitlines()) + 1
    with run.journal.open("a") as journal:
        journal.write(f"{entry}\n")
    with pytest.raises(InputError) as refused:
        RunFolder(run.path).study()
    assert str(refused.value) == f"cannot read {run.journal}: line {line} is damaged: {told}"


def test_a_wave_is_the_home_folder() -> None:
    assert RunFolder.locate("~/runs/mine") == Path.home() / "runs" / "mine"
