"""The tables of a search, as pandas data frames; each takes a `results.snapshot.RunSnapshot`."""

from results.tables.fresh_seeds import seed_table
from results.tables.trials import comparison, confirmation_table, trial_table

__all__ = ["comparison", "confirmation_table", "seed_table", "trial_table"]
