"""Searches with other programs, each used as its documentation shows, around the same plain training loop.

`python -m benchmarks.rivals NAME TASK.json` runs one; NAME is a module here with a `search(task)`. All halve at 1, 2,
4, ... epochs and keep one trial in two, start with the space's baseline, and run two trials at once, with one
thread each.
"""
