"""Which hyperparameter mattered: PED-ANOVA over the trials' ranks."""

from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from results.snapshot import Source, read
from results.tables.trials import RANK, TRIAL, trial_table

FEWEST = 10
"""Ranked trials from which importance is computed; with fewer it would be noise."""

TOP = 5
"""Trials that the best are at least to be, as Optuna advises; a tenth of all trials where that is more."""


def top_share(ranked: int) -> float:
    """The share of that many ranked trials that counts as the best, in (0, 0.5]."""
    return min(0.5, max(0.1, TOP / ranked))


def importance(run: Source) -> dict[str, float]:
    """Share of each hyperparameter in what sets the best trials apart from the rest, largest first; they sum to 1.

    PED-ANOVA looks at nothing but which trials are the best, so trials that were stopped early can take part with
    their rank, below all complete ones. Empty where there are too few trials or nothing varies.
    """
    record = read(run)
    table = trial_table(record)
    ranks = table.set_index(TRIAL)[RANK].dropna()
    if len(ranks) < FEWEST:
        return {}
    ranked = [trial for trial in record.search if trial.number in ranks.index]
    with _quietly():
        study = optuna.create_study(direction="minimize")
        study.add_trials(
            create_trial(params=t.params, distributions=t.distributions, value=float(ranks[t.number])) for t in ranked
        )
        evaluator = PedAnovaImportanceEvaluator(target_quantile=top_share(len(ranked)))
        shares = get_param_importances(study, evaluator=evaluator)
    return shares if sum(shares.values()) > 0 else {}


@contextmanager
def _quietly() -> Iterator[None]:
    """Keeps Optuna from telling of the study that is only for computing."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
