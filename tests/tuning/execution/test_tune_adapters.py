"""What Tune hears of a study, asked as Tune asks, without Ray."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from results.run_folder import REASON, RunFolder
from tests.tuning.studies import searching
from tuning.execution import tune_adapters
from tuning.execution.cluster_watch import Nodes
from tuning.execution.placement import Placement
from tuning.execution.resources import resources
from tuning.execution.scheduler import StudyScheduler
from tuning.execution.trial_setup import Limits
from tuning.execution.tune_adapters import StudySearcher, TuneLink
from tuning.study.tune_interface import UNUSABLE_NODES, only_trial


def test_the_last_trial_may_start_again_before_tune_is_told_that_there_are_no_more(
    make_run: Callable[..., RunFolder],
) -> None:
    run = make_run()
    link = TuneLink(
        searching(run, trials=1), Placement(1, 0, max_concurrent=2), Limits(max_failures=1), shared_config={}
    )
    searcher = StudySearcher(link)
    first = searcher.suggest("a")
    assert first is not None
    assert searcher.suggest("b") is None  # there is room for one more, but no trial is left, as yet

    link.failed_starts[only_trial(first)] += 1  # its worker died while it was given the trial
    searcher.on_trial_complete("a", error=True)
    assert searcher.suggest("c") == first

    link.failed_starts[only_trial(first)] += 1
    searcher.on_trial_complete("c", error=True)
    assert searcher.suggest("d") == Searcher.FINISHED
    (trial,) = run.study().trials
    assert trial.state.name == "FAIL"


def test_no_trial_starts_while_the_head_of_the_cluster_cannot_be_reached(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    link = TuneLink(searching(run, trials=1), Placement(1, 0, max_concurrent=1), Limits(), shared_config={})
    searcher = StudySearcher(link)
    monkeypatch.setattr(tune_adapters, "head_is_reachable", lambda: False)
    assert searcher.suggest("a") is None
    assert not link.study.live
    monkeypatch.setattr(tune_adapters, "head_is_reachable", lambda: True)
    assert searcher.suggest("b") is not None


def test_a_trial_that_tune_has_tried_often_enough_does_not_start_again(make_run: Callable[..., RunFolder]) -> None:
    """It failed before it began, came back, and failed after it had begun as often as Tune tries."""
    run = make_run()
    link = TuneLink(
        searching(run, trials=1), Placement(1, 0, max_concurrent=1), Limits(max_failures=2), shared_config={}
    )
    searcher, scheduler = StudySearcher(link), StudyScheduler(link)
    for tune_id, failures in (("a", [Trial.PENDING]), ("b", [Trial.ERROR, Trial.ERROR, Trial.RUNNING])):
        config = searcher.suggest(tune_id)
        for status in failures:
            failing = SimpleNamespace(config=config, status=status, pickled_error_file=None, error_file=None)
            scheduler.on_trial_error(cast("TuneController", None), cast("Trial", failing))
        searcher.on_trial_complete(tune_id, error=True)
    assert searcher.suggest("c") == Searcher.FINISHED
    assert run.study().trials[0].state.name == "FAIL"


def test_a_trial_on_a_node_that_cannot_run_trials_starts_again_on_another_and_that_never_counts(
    make_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    link = TuneLink(searching(make_run(), trials=1), Placement(1, 0, 1), Limits(max_failures=0), shared_config={})
    link.nodes = Nodes(link.placement)
    searcher, scheduler = StudySearcher(link), StudyScheduler(link)
    file = tmp_path / "error.txt"
    file.write_text(
        "Failure # 1 (occurred at 2026-01-01)\nThe actor died because of an error raised in its creation task, "
        "ray::SANWorker.__init__()\n  File ...\ntuning.execution.node_data.NodeUnusableError: no room on 10.0.0.2\n"
    )
    nodes = Counting(link.nodes)
    for attempt in range(4):
        config = searcher.suggest(str(attempt))
        assert config is not None
        assert len(config[UNUSABLE_NODES]) == attempt
        failing = SimpleNamespace(config=config, status=Trial.PENDING, pickled_error_file=None, error_file=str(file))
        link.nodes.refresh = nodes.refresh  # type: ignore[method-assign]
        scheduler.on_trial_error(cast("TuneController", None), cast("Trial", failing))
        searcher.on_trial_complete(str(attempt), error=True)
    assert link.goes_on
    nodes.fitting = 0
    scheduler.on_trial_error(cast("TuneController", None), cast("Trial", failing))
    assert str(link.early_end) == "no node is left that can run trials: no room on 10.0.0.2"


class Counting:
    """Has a node more become unusable each time that it looks."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes, self.fitting = nodes, 1

    def refresh(self) -> int:
        self._nodes.unusable[f"node{len(self._nodes.unusable)}"] = "no room on 10.0.0.2"
        return self.fitting


@pytest.mark.parametrize("found", [True, False])
def test_a_trial_whose_code_cannot_be_put_on_a_node_counts_as_failed_only_if_no_such_node_is_found(
    found: bool, make_run: Callable[..., RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    link = TuneLink(searching(run, trials=1), Placement(1, 0, 1), Limits(max_failures=0), shared_config={})
    link.nodes = Nodes(link.placement)
    monkeypatch.setattr(link.nodes, "refresh", lambda: 1)
    monkeypatch.setattr(link.nodes, "check_code", lambda: found and link.nodes.unusable.update(id="full"))
    file = tmp_path / "error.txt"
    file.write_text(
        "Failure # 3 (occurred at 2026-01-01)\nFailed to set up runtime environment.\nCould not create the actor "
        "because its associated runtime env failed to be created.\n[Node 127.0.0.1] Traceback (most recent call last):"
        "\n  File ...\nOSError: [Errno 28] No space left on device\n"
    )
    searcher, scheduler = StudySearcher(link), StudyScheduler(link)
    config = searcher.suggest("a")
    failing = SimpleNamespace(config=config, status=Trial.RUNNING, pickled_error_file=None, error_file=str(file))
    scheduler.on_trial_error(cast("TuneController", None), cast("Trial", failing))
    searcher.on_trial_complete("a", error=True)
    again = searcher.suggest("b")
    if found:
        assert again is not None
        assert again[UNUSABLE_NODES] == ("id",)
    else:
        assert run.study().trials[0].user_attrs[REASON] == (
            "the project's code cannot be put on a node: OSError: [Errno 28] No space left on device"
        )


def test_workers_are_placed_on_no_node_that_cannot_run_trials() -> None:
    assert resources({"CPU": 2}).bundles == [{"CPU": 2}]
    chosen = resources({"CPU": 2}, ["a", "b"])
    assert chosen.bundles == [{"CPU": 2}]
    assert chosen != resources({"CPU": 2})
    assert '"ray.io/node-id": "!in(a,b)"' in repr(chosen).replace("'", '"')
