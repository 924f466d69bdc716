"""The search spaces: one per file, each with its baseline."""

from search_spaces.space import SearchSpace, SearchSpaceError, load, misfits

__all__ = ["SearchSpace", "SearchSpaceError", "load", "misfits"]
