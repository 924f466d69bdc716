import json

import pandas as pd
import pytest
from optuna.trial import TrialState

from results.report.files import write_report
from results.report.html import html_report
from results.report.markdown import markdown_report
from results.run_folder import RunFolder
from results.snapshot import load_snapshot
from results.tables.formatting import show_duration, show_value
from results.tables.slots import busy_seconds, spans
from results.tables.trials import comparison, trial_table
from san_core.errors import InputError
from tests.results.cohorts import two_workers
from tests.results.journals import SETTINGS, WUPS, MakeRun, MakeSnapshot, complete, failed, fresh, pruned, trial

OTHER = {"learning_rate": 0.00123456, "momentum": 0.98765, "dropout": 0.0, "embedding_size": 250}


@pytest.fixture
def run(make_run: MakeRun) -> RunFolder:
    return make_run(
        [
            complete(0.5, 0.625, minutes=(0, 10)),
            complete(0.5, 0.75, params=OTHER, seconds=3600.0, minutes=(5, 20)),
            pruned(0.25, minutes=(30, 31)),
            failed(why="CUDA out of memory | tried\nto allocate 2 GiB " + "x" * 80),
            trial(0.3, state=TrialState.RUNNING),
        ],
        [fresh(0, 0.5), fresh(1, 0.75)],
    )


def row(report: str, start: str) -> list[str]:
    """Cells of the first table row that starts so."""
    line = next(line for line in report.splitlines() if line.replace(" ", "").startswith(start))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_report_compares_in_percent(run: RunFolder) -> None:
    report = markdown_report(load_snapshot(run))

    assert report.startswith("# Search demo on easy_vqa\n\n**The best configuration beats the baseline by 12.50 points")
    assert row(report, "|learning_rate|1.2e-03") == ["learning_rate", "1.2e-03", "4.0e-04"]
    assert row(report, "|momentum|0.98") == ["momentum", "0.988", "0.9"]
    assert row(report, "|accuracyinthesearch") == ["accuracy in the search", "75.00 %", "62.50 %"]
    assert row(report, "|meanaccuracy") == ["mean accuracy over fresh seeds", "75.00 %", "50.00 %"]


def test_the_page_names_the_next_commands(run: RunFolder) -> None:
    page = html_report(load_snapshot(run))
    assert f"python -m tuning.retrain {run.path}</code>" in page
    assert f"python -m san_core.demo {run.retrained}/best</code>" in page


def test_before_a_trial_is_complete_the_page_names_none(make_snapshot: MakeSnapshot) -> None:
    assert "python -m san_core.demo" not in html_report(make_snapshot([trial(0.3, state=TrialState.RUNNING)]))


def test_the_report_calls_the_score_by_its_metric(make_snapshot: MakeSnapshot) -> None:
    report = markdown_report(
        make_snapshot([complete(0.5), complete(0.75, params=OTHER)], [fresh(0, 0.5), fresh(1, 0.75)], **WUPS)
    )

    assert "**The best configuration beats the baseline by 25.00 points in WUPS@0.9 (one run each), " in report
    assert row(report, "|WUPS@0.9inthesearch") == ["WUPS@0.9 in the search", "75.00 %", "50.00 %"]
    assert row(report, "|meanWUPS@0.9") == ["mean WUPS@0.9 over fresh seeds", "75.00 %", "50.00 %"]
    assert "\n\nThe WUPS@0.9 in the search is that of the best epoch on the validation questions, " in report
    assert row(report, "|rank|")[6:8] == ["WUPS@0.9", "difference (points)"]
    assert "accuracy" not in report


def test_a_report_of_a_run_whose_settings_name_no_metric_says_accuracy(run: RunFolder) -> None:
    named = markdown_report(load_snapshot(run))
    run.settings_file.write_text(json.dumps({key: value for key, value in SETTINGS.items() if key not in WUPS}))

    report = markdown_report(load_snapshot(run))
    assert "\n\nThe accuracy in the search is that of the best epoch on the validation questions, " in report
    assert row(report, "|rank|")[6:8] == ["accuracy", "difference (points)"]
    assert report == named.replace("- metric: accuracy\n", "")


def test_the_report_counts_states_and_times(run: RunFolder) -> None:
    assert (
        "- Search: 5 trials run (2 complete, 1 pruned, 1 failed, 1 running), "
        # 30 + 3600 + 10 seconds; minutes 0 to 20 and 30 to 31
        "1 h 00 min of trial time in 21 min 00 s of wall time.\n"
        "- Fresh seeds: 2 trials run (2 complete, 0 pruned, 0 failed, 0 running), 40 s of trial time in"
    ) in markdown_report(load_snapshot(run))


def test_the_report_says_what_was_searched(run: RunFolder) -> None:
    report = markdown_report(load_snapshot(run))

    assert row(report, "|learning_rate|1.0e-05to") == ["learning_rate", "1.0e-05 to 1.0e-02, logarithmic", "4.0e-04"]
    assert row(report, "|embedding_size|100to") == ["embedding_size", "100 to 1000, step 50", "500"]
    assert "- fingerprint of the data: 0123abcd\n" in report
    assert "- held fixed: epochs 4, batch_size 100\n" in report
    assert "- trials at a time: 2\n- cores for each trial: 1\n" in report  # not how many of them are trained together
    assert "```sh\npython -m tuning.search --trials 20\n```" in report
    assert "- packages: torch 2.11.0, optuna 5.0.0\n" in report
    assert "- gpus: none\n" in report


def test_the_report_lists_every_trial_for_people(run: RunFolder) -> None:
    report = markdown_report(load_snapshot(run))

    assert row(report, "|1|1|") == [
        *("1", "1", "1.2e-03", "0.988", "0", "250", "75.00 %", "+12.50", "2", "2", "1 h 00 min", "1", "complete", "")
    ]
    assert row(report, "||4|")[-2:] == ["running", "not finished"]


def test_the_report_gives_failures_in_full_on_one_line(run: RunFolder) -> None:
    assert (
        "## Failures\n\n- search, trial 3: CUDA out of memory \\| tried to allocate 2 GiB " + "x" * 80 + "\n"
    ) in markdown_report(load_snapshot(run))


def test_a_report_without_failures_has_no_such_section(make_snapshot: MakeSnapshot) -> None:
    assert "## Failures" not in markdown_report(make_snapshot([complete(0.5)]))


def test_a_report_of_a_search_with_cohorts_counts_the_time_of_devices(make_snapshot: MakeSnapshot) -> None:
    trials, jobs = two_workers()
    report = markdown_report(make_snapshot(trials, jobs=jobs, cohort=4))

    assert "0 failed, 0 running), 8 min 00 s of device time in 7 min 00 s of wall time.\n" in report
    assert "- cohorts at a time: 2\n- trials trained together: 4\n- cores for each cohort: 1\n" in report


def test_a_report_can_be_made_before_the_first_trial(make_run: MakeRun) -> None:
    run = make_run([])
    run.environment_file.unlink()

    report = markdown_report(load_snapshot(run))

    assert "**No trial was started, so there is no best configuration.**" in report
    assert "## Every trial\n\nNo trial was started.\n" in report
    assert "## Environment\n\nIt was not recorded.\n" in report
    write_report(load_snapshot(run))
    assert pd.read_parquet(run.trials_parquet).empty


def test_busy_time_leaves_out_pauses_and_counts_overlaps_once() -> None:
    trials = [
        complete(0.5, minutes=(10, 20)),
        complete(0.5, minutes=(0, 30)),
        complete(0.5, minutes=(60, 61)),
        trial(state=TrialState.RUNNING),
    ]

    assert busy_seconds(spans(trials)) == 31 * 60
    assert busy_seconds([]) == 0


def test_written_tables_read_back_equal(run: RunFolder) -> None:
    write_report(load_snapshot(run))

    trials = trial_table(load_snapshot(run))
    pd.testing.assert_frame_equal(pd.read_parquet(run.trials_parquet), trials)
    for path, table in ((run.trials_csv, trials), (run.comparison_csv, comparison(load_snapshot(run)))):
        dtypes = {str(name): dtype for name, dtype in table.dtypes.items()}
        again = pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=[""])
        expected = table.assign(reason=table["reason"].replace("", None)) if "reason" in table else table
        pd.testing.assert_frame_equal(again, expected)
    assert run.report.read_text(encoding="utf-8") == markdown_report(load_snapshot(run))
    assert not list(run.path.glob(".*partial"))


def test_writing_again_replaces_the_files(run: RunFolder) -> None:
    write_report(load_snapshot(run))
    run.study().add_trial(complete(0.9))
    write_report(load_snapshot(run))

    assert len(pd.read_csv(run.trials_csv)) == 6


def test_a_file_that_cannot_be_written_is_named(run: RunFolder) -> None:
    (run.report / "in the way").mkdir(parents=True)

    with pytest.raises(InputError, match=r"cannot write .*report\.md: .*; accepted: a folder that can be written"):
        write_report(load_snapshot(run))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")],
)
def test_durations_read_naturally(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("learning_rate", 4e-4, "4.0e-04"),
        ("image_learning_rate", 0.01, "1.0e-02"),
        ("momentum", 0.98765, "0.988"),
        ("weight_decay", 1.234e-6, "1.23e-06"),
        ("temperature", 12345.0, "12345"),
        ("embedding_size", 500, "500"),
        ("encoder", "lstm", "lstm"),
    ],
)
def test_parameters_read_naturally(name: str, value: object, text: str) -> None:
    assert show_value(name, value) == text
