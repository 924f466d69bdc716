"""Which trials may go on: decided from the scores alone, so that a resumed search decides as it would have."""

import optuna
from optuna.trial import FrozenTrial


class SuccessiveHalving(optuna.pruners.BasePruner):
    """After 1, 2, 4, ... epochs only the better half goes on (asynchronous successive halving).

    Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020. A trial competes with all that
    reported the same epoch before it. Optuna's pruner of that name decides alike but notes its decisions in the
    journal; where a search is killed between note and decision, the decision would be lost.

    Args:
        reduction_factor: one in so many goes on, >= 2.
    """

    def __init__(self, *, reduction_factor: int = 2) -> None:
        self._reduction_factor = reduction_factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to stop after the last epoch it reported."""
        epoch = trial.last_step
        if epoch is None or not self._is_rung(epoch):
            return False
        others = study.get_trials(deepcopy=False)
        scores = sorted((t.intermediate_values[epoch] for t in others if epoch in t.intermediate_values), reverse=True)
        going_on = max(1, len(scores) // self._reduction_factor)
        return trial.intermediate_values[epoch] < scores[going_on - 1]

    def _is_rung(self, epoch: int) -> bool:
        rung = 1
        while rung < epoch:
            rung *= self._reduction_factor
        return rung == epoch
