"""Stacked Attention Networks for visual question answering: data sets, models, training.

Nothing in here knows Ray, Optuna or pandas.
"""
