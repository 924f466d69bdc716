"""The settings of trainings: those that options fix, and those of one trial."""

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from results.run_folder import SEED
from san_core.errors import InputError
from tuning.training_settings import chosen_settings, training_settings, with_defaults

SETTINGS = {"fixed": {"epochs": 3, "hops": 1}, "seed": 99}


def _trial(**attributes: int) -> FrozenTrial:
    range_of = {"dropout": FloatDistribution(0, 0.7)}
    return create_trial(value=0.5, params={"dropout": 0.1}, distributions=range_of, user_attrs=attributes)


def test_a_trial_is_trained_with_what_is_fixed_its_parameters_and_its_own_seed() -> None:
    trial = _trial(**{SEED: 7})
    assert training_settings(SETTINGS, trial) == {"epochs": 3, "hops": 1, "dropout": 0.1, "seed": 7}
    assert training_settings(SETTINGS, trial, seed=0)["seed"] == 0


@pytest.mark.parametrize(
    ("settings", "attributes", "message"),
    [(SETTINGS, {}, "the journal lacks its seed"), ({}, {SEED: 7}, "settings.json is damaged: it lacks 'fixed'")],
)
def test_what_is_missing_is_told(settings: dict[str, object], attributes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        training_settings(settings, _trial(**attributes))


def test_set_goes_over_preset_and_epochs_over_set() -> None:
    chosen = chosen_settings("SAN(1,CNN)", ["hops=3", "epochs=5"], epochs=2)
    assert (chosen["hops"], chosen["epochs"], chosen["question_encoder"]) == (3, 2, "cnn")


def test_every_wrong_assignment_is_told_at_once() -> None:
    with pytest.raises(InputError, match="but got 'hops'; --set takes SETTING=VALUE, but got 'eps'; --set cannot fix"):
        chosen_settings(None, ["hops", "seed=1", "eps"], None)


@pytest.mark.parametrize(
    ("chosen", "step_epochs"),
    [
        ({}, 10),
        ({"epochs": 24}, 20),
        ({"epochs": 1}, 1),
        ({"epochs": 24, "step_epochs": 5}, 5),
        ({"hidden_size": 64}, 10),
    ],
)
def test_the_step_of_the_learning_rate_moves_with_the_epochs(chosen: dict[str, int], step_epochs: int) -> None:
    defaults = {"epochs": 12, "schedule": "step", "step_epochs": 10}
    assert with_defaults(defaults, chosen) == {**defaults, **chosen, "step_epochs": step_epochs}
    assert with_defaults({"epochs": 12}, {"epochs": 6}) == {"epochs": 6}
