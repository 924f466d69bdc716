"""Searches with cohorts, as their journals have them: trials, and the jobs that trained them."""

import random

from optuna.trial import FrozenTrial, TrialState

from results.jobs import Job
from results.run_folder import WORKER
from tests.results.journals import complete, job, pruned, trial


def two_workers() -> tuple[list[FrozenTrial], list[Job]]:
    """Eight trials in cohorts of four on workers a and b, half of which go on after their first epoch.

    Worker a trains 220 s of its first four minutes and 160 s of three others, worker b 100 s of two minutes.
    """
    trials = [
        complete(0.5, 0.6, seconds=55 + 40, minutes=(0, 8)),
        complete(0.5, 0.7, seconds=55 + 40, minutes=(0, 8)),
        pruned(0.3, minutes=(0, 4), seconds=55.0),
        pruned(0.2, minutes=(0, 4), seconds=55.0),
        complete(0.5, 0.6, seconds=25 + 40, minutes=(0, 8)),
        complete(0.5, 0.6, seconds=25 + 40, minutes=(0, 8)),
        pruned(0.3, minutes=(0, 2), seconds=25.0),
        pruned(0.4, minutes=(0, 2), seconds=25.0),
    ]
    jobs = [
        job(0, range(4), (0, 1), (0, 4), "a"),
        job(1, range(4, 8), (0, 1), (0, 2), "b"),
        job(2, (0, 1, 4, 5), (1, 2), (5, 8), "a"),
    ]
    return trials, jobs


def while_it_runs() -> tuple[list[FrozenTrial], list[Job]]:
    """The same search while its last job runs."""
    trials, jobs = two_workers()
    for number in (0, 1, 4, 5):
        trials[number] = trial(0.5, state=TrialState.RUNNING, minutes=(0, 0))
        trials[number].datetime_complete = None
    return trials, [*jobs[:2], job(2, (0, 1, 4, 5), (1, 2), (5, None), "a")]


def successive_halving() -> tuple[list[FrozenTrial], list[Job]]:
    """Jobs of up to 16 trials that train to 1, 2, 4 and 8 epochs; after each the better half goes on."""
    draw, numbers = random.Random(0), range(96)
    scores: dict[int, list[float]] = {number: [] for number in numbers}
    ends, seconds, jobs = dict.fromkeys(numbers, 0.0), dict.fromkeys(numbers, 0.0), list[Job]()
    waiting, free = {0: list(numbers), 1: [], 2: [], 4: [], 8: []}, {"10.0.0.1 GPU 0": 0.0, "10.0.0.1 GPU 1": 0.0}
    while pools := [epochs for epochs, pool in waiting.items() if pool and epochs < 8]:
        first = max((epochs for epochs in pools if len(waiting[epochs]) >= 16), default=min(pools))
        last = max(1, 2 * first)
        members, waiting[first] = waiting[first][:16], waiting[first][16:]
        worker = min(free, key=lambda name: free[name])
        start, trained = max([free[worker], *(ends[number] for number in members)]), 2.0 * (last - first)
        jobs.append(job(len(jobs), members, (first, last), (start, start + trained + 0.2), worker))
        free[worker] = start + trained + 0.3
        for number in members:
            scores[number] += [0.3 + 0.4 * draw.random() + 0.02 * epoch for epoch in range(first, last)]
            ends[number], seconds[number] = start + trained + 0.2, seconds[number] + 60 * trained / len(members)
        members.sort(key=lambda number: -scores[number][-1])
        waiting[last] += sorted(members[: max(1, len(members) // 2)])
    trials = []
    for number in numbers:
        make, own = complete if len(scores[number]) == 8 else pruned, [job for job in jobs if number in job.trials]
        made = make(*scores[number], seconds=seconds[number], minutes=(0, ends[number]), **{WORKER: own[-1].worker})
        made.datetime_start = own[0].started
        trials.append(made)
    return trials, jobs
