"""How often a search picks a good configuration: by its pruner, the score of a trial, and the final choice.

`python -m benchmarks.policies record` trains configurations under several seeds and records their curves;
`python -m benchmarks.policies simulate` replays searches from these curves.
"""
