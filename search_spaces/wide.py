"""The four hyperparameters of `san`, the architecture and the training: for searches of a hundred trials and more."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import san
from search_spaces.space import SearchSpace

SPACE = SearchSpace(
    parameters={
        **san.SPACE.parameters,
        "feature_dropout": FloatDistribution(0.0, 0.9),
        "question_encoder": CategoricalDistribution(["lstm", "cnn"]),
        "attention": CategoricalDistribution(["paper", "bounded"]),
        "hops": IntDistribution(1, 3),
        "hidden_size": IntDistribution(128, 1280, log=True),
        "attention_size": IntDistribution(64, 1024, log=True),
        "batch_size": IntDistribution(32, 512, log=True),
        "weight_decay": CategoricalDistribution([0.0, 1e-5, 1e-4, 1e-3]),
        "clip_norm": CategoricalDistribution([0.0, 0.1, 1.0, 10.0]),
        "schedule": CategoricalDistribution(["constant", "step", "cosine"]),
    },
    baseline={
        **san.SPACE.baseline,
        "feature_dropout": 0.0,
        "question_encoder": "lstm",
        "attention": "paper",
        "hops": 2,
        "hidden_size": 1024,
        "attention_size": 512,
        "batch_size": 100,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
        "schedule": "constant",
    },
)
