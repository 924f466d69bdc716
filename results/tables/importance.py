"""Which hyperparameter mattered most: PED-ANOVA over the ranks of the trials."""

import optuna
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
    ones. Empty if there are too few trials or nothing varies; otherwise by share, the largest first, then by name.
    """
    table = trial_table(snapshot)
    ranks = table.set_index(TRIAL)[RANK].dropna()
    if len(ranks) < MIN_TRIALS:
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
