"""What to search: one space per file, each with its baseline."""

from search_spaces.space import SearchSpace, SearchSpaceError, load

__all__ = ["SearchSpace", "SearchSpaceError", "load"]
