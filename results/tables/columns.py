"""Names of the columns of all tables; each constant has its own name as its value."""

RANK = "rank"
"""1 has the best score of the search; missing for a trial that failed, diverged or has not ended."""

TRIAL = "trial"
"""The trial's number in its study."""

SCORE = "score"
"""Best validation score of the trial's epochs, in [0, 1]."""

DIFFERENCE = "difference"
"""The score minus that of the complete baseline, in [-1, 1]."""

BEST_EPOCH = "best_epoch"
"""The first epoch that reached the score; epochs count from 1."""

EPOCHS = "epochs"
"""Epochs that were trained and scored."""

SECONDS = "seconds"
"""Training and scoring time of these epochs."""

SEED = "seed"
"""The seed of the training."""

STATE = "state"
"""complete, pruned, diverged, failed, running or waiting."""

REASON = "reason"
"""Why the trial ended, or that it has not; empty for one that ran all its epochs."""

CONFIG = "config"
"""Role of the configuration in the search: BEST or BASELINE; in the confirmations also OTHER and UNKNOWN."""

CONFIRMS = "confirms"
"""Number of the trial of the search whose configuration this one repeats."""

SEEDS = "seeds"
"""How many fresh seeds repeated the configuration to the end."""

MEAN = "mean"
"""Mean score over the fresh seeds, in [0, 1]."""

DEVIATION = "deviation"
"""Sample standard deviation (n - 1) of the scores of the fresh seeds; missing for fewer than two seeds."""

LOW, HIGH = "low", "high"
"""Bounds of the 95 % interval of the mean (Student's t), as scores; missing for fewer than two seeds."""

RACE = "race"
"""How a finalist did in the race under fresh seeds: WON, STAYED or "left after N seeds"; empty for other trials."""

PROBABILITY = "probability"
"""How likely a finalist is the best of them, in [0, 1]; missing where that cannot be told."""

WON, STAYED = "won", "stayed"
"""Values of `race`."""

BEST, BASELINE = "best", "baseline"
"""Values of `config`: the best trial, see `results.snapshot`, and the trial of the baseline configuration."""

OTHER = "other"
"""Value of `config`: any other trial that was repeated."""

UNKNOWN = "unknown"
"""Value of `config`: the run was killed before it recorded which trial it repeats."""
