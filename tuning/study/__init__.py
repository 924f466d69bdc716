"""The study over Optuna: samplers, pruners, stop rules and the first trials. Knows neither Ray nor torch."""
