"""The search: Optuna chooses trials, Ray Tune places and runs them, one journal remembers."""
