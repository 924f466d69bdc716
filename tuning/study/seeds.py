"""Seeds of training and sampling. Each follows from the study's seed, so that a search can be repeated."""

import numpy as np

SEARCH_SEEDS, CONFIRMATION_SEEDS, RETRAINING_SEEDS, SAMPLER_SEEDS, ORDER_SEEDS = range(5)
"""Series of seeds, one for each use, so that no two uses share a seed."""


def derive_seed(study_seed: int, series: int, number: int) -> int:
    """The seed with a number in a series; it follows from the study's seed and these two alone."""
    return int(np.random.SeedSequence([study_seed, series, number]).generate_state(1)[0])
