"""The four hyperparameters of a SAN trained with RMSprop."""

from optuna.distributions import FloatDistribution, IntDistribution

from search_spaces.space import SearchSpace

SPACE = SearchSpace(
    parameters={
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "momentum": FloatDistribution(0.0, 0.99),
        "dropout": FloatDistribution(0.0, 0.7),
        "embedding_size": IntDistribution(32, 1024, log=True),
    },
    baseline={"learning_rate": 4e-4, "momentum": 0.9, "dropout": 0.5, "embedding_size": 1000},
)
