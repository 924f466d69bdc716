"""The numbers of a search as pandas tables: trials, costs, importance, fresh seeds."""
