"""How fresh seeds chose the best configuration among the finalists, in sentences."""

import math

from results.race import Race
from results.ranking import best_trial
from results.snapshot import RunSnapshot, best_score
from results.tables.formatting import show_percent


def choice(snapshot: RunSnapshot) -> list[str]:
    """Why the best trial is not the one with the best score of the search, and how likely it is the best finalist.

    Empty if the search had one finalist, or fresh seeds have not chosen among them.
    """
    if not snapshot.race.was_run:
        return []
    return [sentence for sentence in (_other_than_first(snapshot), _probability(snapshot.race)) if sentence]


def _other_than_first(snapshot: RunSnapshot) -> str:
    best, first, race = snapshot.best, best_trial(snapshot.search), snapshot.race
    if best is None or first is None or best.number == first.number:
        return ""
    scores = f"{show_percent(best_score(best))} against {show_percent(best_score(first))}"
    return (
        f"Fresh seeds chose trial {best.number}, not trial {first.number} with the best score of the search "
        f"({scores}): {_why_not(race, first.number, best.number)}."
    )


def _why_not(race: Race, first: int, best: int) -> str:
    """Why the trial with the best score of the search has not won."""
    mean = race.mean(first)
    if math.isnan(mean):
        return f"the runs of trial {first} failed"
    if math.isinf(mean):
        return f"trial {first} diverged under one of them"
    means = f"{show_percent(race.mean(best))} against {show_percent(mean)}"
    if first in race.left:
        return f"their means are {means}, and trial {first} left the race after {race.left[first]} seeds"
    return f"its mean under them is higher ({means})"


def _probability(race: Race) -> str:
    if race.winner is None or race.winner not in race.probabilities:
        return ""
    likely = race.probabilities[race.winner]
    percent = "more than 99 %" if likely > 0.995 else f"{100 * likely:.0f} %"
    counts = [str(len(race.scored(number))) for number in race.finalists]
    seeds = f"{counts[0]} fresh seeds each" if len(set(counts)) == 1 else f"{_listed(counts)} fresh seeds"
    return (
        f"Of the {len(counts)} finalists, trial {race.winner} is the best with a probability of {percent} (by {seeds})."
    )


def _listed(texts: list[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}"
