"""The finalists of a search, and the scores of their runs under fresh seeds, as the journal has them."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from results.intervals import binomial_error
from results.race import DIVERGED, FAILED, Race
from results.ranking import rank_trials
from results.run_folder import BY_QUESTION, CONFIRMS, SEED
from results.run_folder import DIVERGED as HAS_DIVERGED
from san_core.question_scores import QuestionScores

MOST_FINALISTS = 3
"""The best trials among which fresh seeds choose; `--keep` keeps as many checkpoints by default."""

STANDARD_ERRORS = 2.0
"""A trial is a finalist if it is behind the best by at most so many standard errors of their difference."""


NEGLIGIBLE = 0.005
"""There is no race where chance explains less than this: the best score is that of one of the best trials then."""


def race_of(search: Iterable[FrozenTrial], fresh: Iterable[FrozenTrial], settings: Mapping[str, Any]) -> Race:
    """The race of a search, as far as it was run.

    Args:
        search: the trials of the search.
        fresh: the runs under fresh seeds, by number.
        settings: of the search.
    """
    return Race(finalists(search, settings.get("validation_questions")), fresh_scores(fresh))


def finalists(search: Iterable[FrozenTrial], questions: int | None) -> list[int]:
    """Numbers of the trials that may be the best, the best score first.

    They are the trial with the best score, and of the next two those whose score is behind by no more than chance
    explains on the validation questions, if that is half a point or more: full trainings on many questions take long,
    and could win no more than that. The effect of the seed comes on top of that, but one run does not show it.

    Args:
        search: the trials of the search.
        questions: number of validation questions, of all folds together; None if it is not known.
    """
    ranked = rank_trials(search)[:MOST_FINALISTS]
    return [trial.number for trial in ranked if trial is ranked[0] or _is_chance(ranked[0], trial, questions)]


def fresh_scores(fresh: Iterable[FrozenTrial]) -> dict[int, dict[int, float]]:
    """Scores of the runs that have ended, by the trial that each repeats and by round, see `results.race`.

    The rounds are the seeds, in the order in which the journal first has them. Of several runs of a trial under one
    seed the latest counts: the others have failed.

    Args:
        fresh: the runs under fresh seeds, by number.
    """
    rounds: dict[int, int] = {}
    scores: dict[int, dict[int, float]] = {}
    for run in fresh:
        trial, seed = run.user_attrs.get(CONFIRMS), run.user_attrs.get(SEED)
        if trial is None or seed is None:  # the search was killed before it had recorded them
            continue
        number = rounds.setdefault(seed, len(rounds))
        of_trial = scores.setdefault(trial, {})
        of_trial.pop(number, None)
        if run.state.is_finished():
            of_trial[number] = _outcome(run)
    return scores


def _outcome(run: FrozenTrial) -> float:
    if HAS_DIVERGED in run.user_attrs:
        return DIVERGED
    if run.state is not TrialState.COMPLETE or run.value is None:
        return FAILED
    return min(1.0, max(0.0, run.value))  # a damaged journal may hold other scores


def _is_chance(best: FrozenTrial, other: FrozenTrial, questions: int | None) -> bool:
    """Whether chance explains that a trial is behind the best one."""
    ahead, behind = best.value or 0.0, other.value or 0.0
    error = _paired_error(best, other)
    if math.isnan(error) and questions:
        error = binomial_error(ahead, behind, questions)
    by_chance = STANDARD_ERRORS * error
    return ahead - behind <= by_chance and by_chance >= NEGLIGIBLE


def _paired_error(first: FrozenTrial, second: FrozenTrial) -> float:
    """Standard error of the difference of two trials' scores, question by question.

    It is that after the last epoch at which the journal has both trials' scores on single questions. The pruner
    `tolerant` records them at its rungs, the last of which lies in the second half of a complete trial. The best epoch
    is seldom a rung, but which questions two networks answer differently changes little by then.

    Returns:
        The error; NaN if the journal has no such scores.
    """
    shared = [name for name in first.user_attrs if name in second.user_attrs and _epoch(name) > 0]
    if not shared:
        return math.nan
    last = max(shared, key=_epoch)
    try:
        ours, theirs = (QuestionScores.from_text(trial.user_attrs[last]) for trial in (first, second))
        return ours.standard_error(theirs)
    except (ValueError, TypeError, AttributeError):  # a damaged journal may hold anything
        return math.nan


def _epoch(attribute: str) -> int:
    """The epoch after which an attribute of a trial has its scores on single questions; 0 for another attribute."""
    number = attribute.removeprefix(BY_QUESTION)
    return int(number) if number != attribute and number.isdecimal() else 0
