"""The parts of a Stacked Attention Network, and the network."""
