"""Runs a command in this process, its search or retraining without Ray.

This proves that the arguments are accepted, that what they name exists and fits together, and that the command runs to
its end. A search plans, asks the study, prunes, ranks and reports as ever, but the scores of its trials are invented. A
retraining trains and tests every network, one after the other.
"""

import argparse
import contextlib
import importlib.util
import io
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch

from san_core.data.prepared import PreparedData
from tuning.execution.placement import Machine
from tuning.execution.ray_session import machines
from tuning.options import command_line
from tuning.retraining import training
from tuning.retraining.kept_networks import KeptNetworks
from tuning.retraining.plan import Plan
from tuning.retraining.training import Outcome
from tuning.study.live_trial import Epoch
from tuning.study.study import Study

Ended = tuple[int, str]
"""Exit code, and what was printed."""


def run_without_ray(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Ended:
    """Runs `python -m MODULE ARGUMENTS` in a folder."""
    with _started_there(words, folder, environment) as patch:
        replace_ray(patch)
        return _run_module(words[0])


def replace_ray(patch: pytest.MonkeyPatch) -> None:
    """Has searches and retraining that are imported later do without Ray."""
    patch.setattr("tuning.execution.ray_session.ray_session", lambda *_, **__: contextlib.nullcontext(""))
    patch.setattr("tuning.fresh_seeds.run_trials", _invent_scores)
    patch.setattr("tuning.retraining.training.run_jobs", _train_and_test)
    for planning in ("new_search", "resumed_search"):
        patch.setattr(f"tuning.planning.{planning}.machines", _machines)


def read_arguments(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Ended:
    """Runs `python -m MODULE ARGUMENTS` up to where it has read its arguments."""

    def then_end(parse: Callable[..., object]) -> Callable[..., None]:
        def parse_and_end(*arguments: object) -> None:
            parse(*arguments)
            sys.exit(0)

        return parse_and_end

    with _started_there(words, folder, environment) as patch:
        for name in ("parse_args", "parse_intermixed_args"):
            patch.setattr(argparse.ArgumentParser, name, then_end(getattr(argparse.ArgumentParser, name)))
        patch.setattr(command_line, "_parse", then_end(command_line._parse))  # tuning.search reads them itself
        return _run_module(words[0])


@contextlib.contextmanager
def _started_there(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[pytest.MonkeyPatch]:
    """As if Python had been started in a folder, with these arguments and environment variables."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr("san_core.data.readers.easy_vqa.easy_vqa", _easy_vqa(environment))
        patch.setattr(sys, "argv", list(words))
        patch.delitem(sys.modules, _main_module(words[0]), raising=False)
        yield patch
    torch.set_num_threads(threads)


def _easy_vqa(environment: Mapping[str, str]) -> ModuleType:
    """The package easy_vqa that a Python with this environment would import."""
    package = Path(environment["PYTHONPATH"].split(os.pathsep)[0], "easy_vqa", "__init__.py")
    spec = importlib.util.spec_from_file_location("easy_vqa", package)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _main_module(name: str) -> str:
    """The module that `python -m` runs."""
    spec = importlib.util.find_spec(name)
    return f"{name}.__main__" if spec is not None and spec.submodule_search_locations else name


def _run_module(name: str) -> Ended:
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        pytest.raises(SystemExit) as ended,
    ):
        runpy.run_module(name, run_name="__main__")
    return int(ended.value.code or 0), printed.getvalue()


def _machines(address: str | None, **_: object) -> list[Machine]:
    """This machine, in place of any cluster."""
    del address
    return machines(None)


def _invent_scores(study: Study, *_: object, **__: object) -> None:
    """Runs a study's trials, whose first epoch is their best."""
    while trial := study.ask():
        for epoch in range(1, study.epochs + 1):
            if not study.report(trial.trial.number, Epoch(epoch, 1 / (2 + trial.trial.number + epoch), float(epoch))):
                break
        study.finish(trial.trial.number)


def _train_and_test(
    plan: Plan,
    data: Mapping[str, PreparedData],
    _: object,
    out: Path,
    kept: KeptNetworks,
    before_scores: Callable[[], object],
) -> list[Outcome]:
    """As `tuning.retraining.training.run_jobs`, without Ray."""
    places, curves = {name: str(each.folder) for name, each in data.items()}, kept.all()
    for job in plan.jobs:
        if job not in curves:
            settings = [(job.config.to_dict(), job.epochs)]
            curves[job], weights = training._train(settings, places[job.data], 1, plan.trained_on)
            kept.keep(job, curves[job], weights)
    scores = {}
    for jobs in plan.tests:
        path = str(out) if jobs == plan.saved else None
        scores[jobs] = training._test(kept.trained(jobs), places[jobs[0].data], 1, plan.split, path)
        before_scores()
    return training.outcomes(plan, curves, scores)
