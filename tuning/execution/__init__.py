"""Runs a study's trials on Ray Tune: the Ray session, workers, placement, checkpoints."""
