"""Which hyperparameter mattered most: PED-ANOVA over the ranks of the trials."""

import math

import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from results.journal import warnings_only
from results.snapshot import RunSnapshot
from results.tables.columns import RANK, TRIAL
from results.tables.trials import trial_table

MIN_TRIALS = 10
"""Fewest ranked trials that importance is computed from; with fewer it would be noise."""

MIN_BEST_TRIALS = 5
"""Fewest trials that count as the best, as Optuna advises; a tenth of all trials if that is more."""


def top_share(ranked: int) -> float:
    """The share of the ranked trials that counts as the best, in (0, 0.5]."""
    return min(0.5, max(0.1, MIN_BEST_TRIALS / ranked))


def importance(snapshot: RunSnapshot) -> dict[str, float]:
    """Share of each hyperparameter in what distinguishes the best trials from the rest; sum 1.

    PED-ANOVA only uses which trials are the best. So pruned trials can take part, with their rank below all complete
    ones. Empty if there are too few trials, nothing varies, or equal scores put more than half of them among the best;
    otherwise by share, the largest first, then by name.
    """
    ranks = _ranks(snapshot)
    if len(ranks) < MIN_TRIALS or among_best(snapshot) > len(ranks) / 2:
        return {}
    ranked = [trial for trial in snapshot.search if trial.number in ranks.index]
    with warnings_only():
        study = optuna.create_study(direction="minimize")
        study.add_trials(
            create_trial(params=t.params, distributions=t.distributions, value=float(ranks[t.number])) for t in ranked
        )
        evaluator = PedAnovaImportanceEvaluator(target_quantile=top_share(len(ranked)))
        shares = get_param_importances(study, evaluator=evaluator)
    if sum(shares.values()) == 0:
        return {}
    return dict(sorted(shares.items(), key=lambda share: (-share[1], share[0])))  # equal shares in no random order


def among_best(snapshot: RunSnapshot) -> int:
    """How many trials count as the best: a share of all, and those that have the same rank as the last of them."""
    ranks = sorted(_ranks(snapshot))
    if not ranks:
        return 0
    last = ranks[math.ceil(top_share(len(ranks)) * len(ranks)) - 1]
    return sum(rank <= last for rank in ranks)


def _ranks(snapshot: RunSnapshot) -> pd.Series:
    """The rank of each trial that has one, by number."""
    return trial_table(snapshot).set_index(TRIAL)[RANK].dropna()
