"""`python -m benchmarks.gpu`: training on one GPU, for one configuration and for many at once, up to whole searches.

Each part runs in a process of its own and has a time limit, so that one that hangs does not lose the others.
"""
