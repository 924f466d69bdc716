"""The search spaces: one per file, each with its baseline."""

from search_spaces.space import SearchSpace, SearchSpaceError, load
from search_spaces.values import fitted, misfits

__all__ = ["SearchSpace", "SearchSpaceError", "fitted", "load", "misfits"]
