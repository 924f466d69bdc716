"""Searches so small that to start Ray takes longer; the fixture `one_ray` starts it once for a module."""


def small_search(batch_size: int) -> list[str]:
    """Options of `tuning.search` for two trials of one epoch with a tiny network."""
    options = ["--trials", "2", "--epochs", "1", "--confirm", "0", "--no-dashboard", "--concurrent", "1"]
    for setting in ("hidden_size=16", "attention_size=16", "embedding_size=16", f"batch_size={batch_size}"):
        options += ["--set", setting]
    return options
