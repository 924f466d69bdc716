"""A cohort: W configurations that are trained at once on one device, each with its own weights.

A *member* is one of the W configurations. The weights, gradients and optimizer state of all members are stacked in
buffers [W, P]: a *row* holds the values of one member, and a *block* is the part of a row for one weight. A batch has a
fixed number of *slots*, each for one question. So every tensor of a step has a fixed shape, and on a GPU a step is
captured as a CUDA graph.

To read the code, begin with `training` (epochs), `step` (one step) and `network` (the forward pass).
"""
