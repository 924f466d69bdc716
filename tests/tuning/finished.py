"""A search that has ended, without having run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from results.run_folder import SEARCH, SEED, RunFolder
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData

SEARCHED: dict[str, BaseDistribution] = {"learning_rate": FloatDistribution(1e-5, 1e-2), "hops": IntDistribution(1, 3)}
BASELINE = {"learning_rate": 1e-4, "hops": 2}
BEST = {"learning_rate": 3e-3, "hops": 1}
BEST_EPOCH = 2


def finished_search(
    path: Path,
    data: PreparedData,
    config: TrainingConfig,
    *,
    baseline: Sequence[float] = (0.2, 0.3, 0.4),
    baseline_state: TrialState = TrialState.COMPLETE,
    trials: bool = True,
) -> RunFolder:
    """Two trials: the baseline with these scores, and a better, complete one that was best in its second epoch."""
    fixed = {name: value for name, value in config.to_dict().items() if name not in {*SEARCHED, "seed"}}
    settings = {
        "data": str(data.folder),
        "data_name": data.name,
        "data_fingerprint": data.fingerprint,
        "metric": "accuracy",
        "metric_title": "accuracy",
        "validation_questions": data.manifest["counts"]["validation"],
        "fixed": fixed,
        "seed": 3,
        "space": "san",
        "sampler": "tpe",
        "pruner": "halving",
        "concurrent": 2,
        "cpus_per_trial": 1,
        "gpus_per_trial": 0,
        "command": "python -m tuning.search --trials 2",
    }
    run = RunFolder.create(path, settings, {})
    study = optuna.create_study(study_name=SEARCH, storage=run.storage(), direction="maximize")
    if trials:
        study.add_trial(_trial(BASELINE, baseline, baseline_state))
        study.add_trial(_trial(BEST, [0.5, 0.75, 0.7]))
    return run


def finished_search_of_features(
    path: Path, data: Mapping[str, PreparedData], best: str, config: TrainingConfig
) -> RunFolder:
    """The same search among preparations of the squares; the baseline has the first, and the best the one named."""
    first, chosen = next(iter(data)), CategoricalDistribution(list(data))
    run = finished_search(path, data[first], config, trials=False)
    several = {
        name: {"folder": str(each.folder), "fingerprint": each.fingerprint, "images": each.described_images}
        for name, each in data.items()
    }
    run.change_settings({**run.settings, "preparations": several})
    for params, scores in ((BASELINE | {"data": first}, [0.2, 0.3, 0.4]), (BEST | {"data": best}, [0.5, 0.75, 0.7])):
        run.study().add_trial(_trial(params, scores, distributions={**SEARCHED, "data": chosen}))
    return run


def add_trial(run: RunFolder, scores: Sequence[float]) -> None:
    """Adds a complete trial of the best configuration with these scores."""
    run.study().add_trial(_trial(BEST, scores))


def _trial(
    params: Mapping[str, Any],
    scores: Sequence[float],
    state: TrialState = TrialState.COMPLETE,
    distributions: Mapping[str, BaseDistribution] = SEARCHED,
) -> optuna.trial.FrozenTrial:
    return create_trial(
        state=state,
        value=max(scores) if state == TrialState.COMPLETE else None,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs={SEED: 7},
        intermediate_values=dict(enumerate(scores, start=1)),
    )
