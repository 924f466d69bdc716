"""Small networks with much dropout, for data sets of a few thousand questions.

For results on DAQUAR below those of the paper, its authors advise a smaller model and more dropout.
"""

from optuna.distributions import FloatDistribution, IntDistribution

from search_spaces.space import SearchSpace

SPACE = SearchSpace(
    parameters={
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "momentum": FloatDistribution(0.0, 0.99),
        "dropout": FloatDistribution(0.2, 0.9),
        "feature_dropout": FloatDistribution(0.0, 0.95),
        "embedding_size": IntDistribution(32, 512, log=True),
        "hidden_size": IntDistribution(64, 640, log=True),
        "attention_size": IntDistribution(32, 512, log=True),
        "weight_decay": FloatDistribution(1e-7, 1e-2, log=True),
    },
    baseline={
        "learning_rate": 3e-4,
        "momentum": 0.6,
        "dropout": 0.65,
        "feature_dropout": 0.8,
        "embedding_size": 300,
        "hidden_size": 384,
        "attention_size": 96,
        "weight_decay": 5e-6,
    },
)
